# The main job in a container, as a user without rights. What it finds is kept in a volume:
#
#     docker build -t foldwise .
#     docker run --rm --init -v foldwise:/work foldwise
#     docker run --rm --init -v foldwise:/work -v "$PWD:/data:ro" foldwise \
#         run --space mlp --dataset csv:/data/train.csv
#
# For GPUs build it with `--build-arg EXTRA=cuda` and run it with `--gpus all`.
FROM python:3.11-slim AS made
ARG EXTRA=cpu
COPY . /source
RUN python -m venv /opt/foldwise \
    && /opt/foldwise/bin/pip install --no-cache-dir -c /source/constraints.txt "/source[$EXTRA]"

FROM python:3.11-slim
COPY --from=made /opt/foldwise /opt/foldwise
RUN useradd --uid 1000 --create-home foldwise && install -d -o foldwise -g foldwise /work
ENV PATH=/opt/foldwise/bin:$PATH
USER 1000
WORKDIR /work
VOLUME /work
ENTRYPOINT ["foldwise"]
# As `make search` has it.
CMD ["run", "--space", "lenet", "--study", "first-look", "--pruner", "median", "--trials", "8", \
     "--folds", "3", "--epochs", "3", "--limit-samples", "4000"]
