__version__ = "0.1.0"

import warnings

# fastai 2.8 decorates with torch.jit.script, which newer torch announces to every reader at import
warnings.filterwarnings('ignore', message='`torch.jit.script` is deprecated', category=FutureWarning)


def __getattr__(name):
    "`from mnist_kit import learner_for`, without making `import mnist_kit.spec` pay for torch (PEP 562)"
    if name == 'learner_for':
        from .learner import learner_for
        return learner_for
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
