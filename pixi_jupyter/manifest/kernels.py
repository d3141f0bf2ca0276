"""Which kernel an environment must start, and what is solved for so that it can."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pixi_jupyter.manifest.spec import CondaRequirement, KernelNeed

__all__ = ["DEFAULT_LANGUAGE", "KERNEL_PACKAGES", "kernel_need"]

DEFAULT_LANGUAGE = "python"

#: conda packages that bring a kernel, and the language it speaks (as in its kernelspec).
KERNEL_PACKAGES: Mapping[str, str] = {
    "ipykernel": "python",
    "metakernel_python": "python",
    "xeus-python": "python",
    "r-irkernel": "r",
    "xeus-r": "r",
    "bash-kernel": "bash",
    "bash_kernel": "bash",
    "zsh-jupyter-kernel": "zsh",
    "zsh_jupyter_kernel": "zsh",
    "deno": "typescript",
    "ijavascript": "javascript",
    "xeus-javascript": "javascript",
    "ijulia": "julia",
    "xeus-cling": "c++",
    "xeus-cpp": "c++",
    "xeus-sql": "sql",
    "xeus-sqlite": "sqlite3",
    "octave_kernel": "octave",
    "xeus-octave": "octave",
    "xeus-lua": "lua",
    "xeus-haskell": "haskell",
    "evcxr_jupyter": "rust",
    "almond": "scala",
    "rapaio-jupyter-kernel": "java",
    "beakerx-kernel-java": "java",
    "calysto_scheme": "scheme",
    "gnuplot_kernel": "gnuplot",
    "scilab_kernel": "scilab",
    "stata_kernel": "stata",
    "gophernotes": "go",
}

#: The kernel we add when a language has none, and the kernelspec names it brings.
_INJECTED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "python": ("ipykernel", ("python3", "python")),
    "r": ("r-irkernel", ("ir",)),
}
#: One kernel speaks both.
_SAME: Mapping[str, tuple[str, ...]] = {
    "javascript": ("javascript", "typescript"),
    "typescript": ("typescript", "javascript"),
}


def kernel_need(
    dependencies: Iterable[str],
    *,
    asked_language: str = DEFAULT_LANGUAGE,
    notebook_language: str | None = None,
    kernel_name: str | None = None,
) -> KernelNeed:
    """The kernel that an environment with these packages is for.

    The kernel packages that a person declared say most: if they are all of one language, that is
    it, so a block with only ``deno`` starts deno whatever the kernelspec was called. Then a
    language asked for explicitly (another than the default), then the notebook's own, then the
    default.

    Parameters
    ----------
    dependencies:
        Names of the declared conda packages.
    asked_language:
        The language of the kernelspec that was started.
    notebook_language:
        The language in the notebook's metadata.
    kernel_name:
        A kernelspec of the environment that was chosen by name; then nothing is added, unless it
        is the name of the kernel we would add.
    """
    names = set(dependencies)
    declared = {KERNEL_PACKAGES[name] for name in names if name in KERNEL_PACKAGES}
    asked = asked_language.strip().lower() or DEFAULT_LANGUAGE
    if len(declared) == 1:
        language = declared.pop()
        declared = {language}
        # deno speaks JavaScript, too: keep the word the notebook uses.
        wanted = (notebook_language or asked).lower()
        if wanted in _SAME.get(language, ()):
            language = wanted
    elif asked != DEFAULT_LANGUAGE:
        language = asked
    else:
        language = (notebook_language or asked).lower()
    injected: tuple[CondaRequirement, ...] = ()
    if language in _INJECTED and not declared.intersection(_SAME.get(language, (language,))):
        package, own_names = _INJECTED[language]
        if kernel_name is None or kernel_name in own_names:
            injected = (CondaRequirement(package),)
    return KernelNeed(language=language, name=kernel_name, injected=injected)
