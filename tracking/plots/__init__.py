"""Pictures by Matplotlib: of trials, and the style that all pictures share.

A trial has one colour wherever several are drawn: in MLflow's charts and in reports. Nothing is
imported for it.
"""

# Forty that keep apart on white and on MLflow's dark pages: each is the one farthest from those
# before it, in OKLab and as seen without the green-sensitive cones (Machado et al., 2009), among
# colours with a contrast of at least 2.3 to either page. So the first are the most different.
TRIAL_COLOURS = (
    *("#1e78b4", "#fa8c0a", "#aa2828", "#dc8cf0", "#3c9614", "#0abebe", "#b47882", "#326446"),
    *("#963296", "#8282fa", "#96b45a", "#fa8296", "#dc5a0a", "#be5abe", "#0a968c", "#8c6e32"),
    *("#5a46be", "#825a6e", "#9696c8", "#c83c6e", "#0aaaf0", "#aa8c0a", "#8c5ad2", "#465a82"),
    *("#0a780a", "#0ab478", "#8278aa", "#e664aa", "#c8966e", "#82966e", "#327878", "#6e5a0a"),
    *("#0a8ce6", "#e65a6e", "#4696be", "#d296be", "#6eaa0a", "#468250", "#aa286e", "#fa6e50"),
)


def trial_colour(number: int) -> str:
    """Return a trial's colour, `#rrggbb`; trials forty apart share one.

    Args:
        number: the trial's, from 0.
    """
    return TRIAL_COLOURS[number % len(TRIAL_COLOURS)]
