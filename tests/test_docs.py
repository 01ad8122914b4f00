"""The pages: what they link to is there, what they show runs, and they agree with each other."""

import re
from pathlib import Path

import numpy as np
import pytest

import lamina as la

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    page
    for folder in (".", "bench", "csrc", "docs", "examples", "findings")
    for page in (ROOT / folder).glob("*.md")
)
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def code_after(marker: str, page: str) -> str:
    """The code block that follows the marker at once."""
    (found,) = re.findall(rf"^{re.escape(marker)}\n```\w*\n(.*?)^```$", page, re.M | re.S)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_links_to_is_there(page):
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if not re.match(r"\w+:", target)]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_links_are_found():
    assert sum(page.read_text(encoding="utf-8").count("](") for page in PAGES) > 10


def test_the_readme_is_short_and_has_its_two_commands():
    page = text_of("README.md")
    assert len(page.splitlines()) <= 110
    assert code_after("<!-- run -->", page).startswith("python3 -m venv")
    assert code_after("<!-- test -->", page).rstrip().endswith("-m pytest")


def test_the_readme_s_script_is_the_example_s():
    """But for options and pictures."""
    (script,) = re.findall(r"```python\n(.*?)```", text_of("README.md"), re.S)
    example = "".join(text_of("examples/mnist.py").split())
    for line in script.splitlines():
        code = "".join(line.split()).removesuffix(",")
        if "epochs=" not in code and code not in ("[", "]", ")"):
            assert code in example, line


def test_every_example_is_short_and_named_in_the_readme():
    assert len(EXAMPLES) >= 6
    page = text_of("README.md")
    for example in EXAMPLES:
        assert f"examples/{example.name}" in page
        lines = len(example.read_text(encoding="utf-8").splitlines())
        assert lines < (90 if example.name == "mnist.py" else 80), (example.name, lines)


def test_every_finding_is_listed():
    page = text_of("findings/README.md")
    found = sorted(path.name for path in (ROOT / "findings").glob("*.sh"))
    assert sorted(re.findall(r"\]\((\w+\.sh)\)", page)) == found


def test_the_citation_has_the_version():
    version = re.search(r'^version = "(.+)"$', text_of("pyproject.toml"), re.M).group(1)
    assert f"\nversion: {version}\n" in text_of("CITATION.cff")


def test_the_changelog_begins_with_what_is_unreleased():
    assert re.findall(r"^## (.*)$", text_of("CHANGELOG.md"), re.M)[:2] == ["Unreleased", "0.1.0"]


def test_the_guide_s_layer_trains():
    scope = {}
    code = next(
        block
        for block in re.findall(r"```python\n(.*?)```", text_of("docs/guide.md"), re.S)
        if "class Scale" in block
    )
    exec(code, scope)
    la.utils.set_random_seed(0)
    model = la.Sequential([la.layers.Input((3,)), scope["Scale"]()])
    model.compile(la.optimizers.SGD(0.5), "mse")
    x = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
    model.fit(x, x * [1.0, 2.0, -3.0], epochs=40, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0], [1.0, 2.0, -3.0], atol=0.01)


def test_a_weighted_cross_entropy_is_a_policy_gradient():
    """As the guide says, with weights of both signs, against the formula in float64."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(64, 4))
    actions = rng.integers(3, size=64)
    returns = rng.normal(size=64)
    model = la.Sequential([la.layers.Input((4,)), la.layers.Dense(3, activation="softmax")])
    model.compile(la.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    before = [weight.astype("float64") for weight in model.get_weights()]
    loss = model.train_on_batch(x, actions, sample_weight=returns)
    logits = x @ before[0] + before[1]
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    taken = np.eye(3)[actions]
    want = -np.mean(returns * np.log(shares[np.arange(64), actions]))
    gradient = (shares - taken) * returns[:, None] / 64
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(loss, want, rtol=1e-5)
    np.testing.assert_allclose(kernel, before[0] - 0.1 * x.T @ gradient, atol=1e-6)
    np.testing.assert_allclose(bias, before[1] - 0.1 * gradient.sum(axis=0), atol=1e-6)
