"""`sync`: bring to MLflow what has not arrived there."""

from search.cli.options import DEFAULT_HOME, AsJson, Home, TrackingUri


def sync(tracking_uri: TrackingUri = None, home: Home = DEFAULT_HOME, json: AsJson = False) -> None:
    """Bring every study's waiting records to MLflow; safe to repeat."""
    from search.cli.output import Notices, console, print_json
    from search.errors import FoldwiseError
    from search.studies import readable_studies
    from search.tracker import Tracker
    from tracking.home import Home as HomeFolder

    folders = HomeFolder(home)
    notify = Notices(quiet=json)
    tracker = Tracker(folders, tracking_uri)
    known = readable_studies(folders, notify)
    waiting = {name: tracker.sync(folders.study(name), notify) for name in known}
    if json:
        print_json({"tracking_uri": tracker.shown_uri, "waiting": waiting, "notices": notify.texts})
    elif not any(waiting.values()):
        console.print(f"{len(waiting)} studies are complete in MLflow at {tracker.shown_uri}")
    if any(waiting.values()):
        count = sum(waiting.values())
        raise FoldwiseError(f"{count} records did not reach MLflow at {tracker.shown_uri}")
