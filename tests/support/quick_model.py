"""The benchmarks' model that costs nearly nothing, for tests in which a classification must not count."""
import sys

import imgrec

sys.path.insert(0, str(imgrec.ROOT / "benchmarks"))
import run as benchmarks  # noqa: E402

NAME = "quick"


def install(folder):
    """Installs it in the folder of models."""
    model, labels = benchmarks.quick_model(folder)
    done = imgrec.run("model", "import", model, "--name", NAME, "--profile", "imagenet", "--labels", labels, "--model-dir", folder)
    assert done.returncode == 0, done.stderr
