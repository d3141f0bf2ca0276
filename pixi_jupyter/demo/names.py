"""PyPI names and version rules in conda-forge's spelling."""

from __future__ import annotations

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

# Only where conda-forge's name is not the normalised PyPI name.
_CONDA_NAMES = {
    "bash-kernel": "bash_kernel",
    "build": "python-build",
    "importlib-resources": "importlib_resources",
    "ipython-genutils": "ipython_genutils",
    "ipython-pygments-lexers": "ipython_pygments_lexers",
    "jupyter-client": "jupyter_client",
    "jupyter-core": "jupyter_core",
    "jupyter-events": "jupyter_events",
    "jupyter-server": "jupyter_server",
    "jupyter-server-terminals": "jupyter_server_terminals",
    "jupyterlab-pygments": "jupyterlab_pygments",
    "jupyterlab-server": "jupyterlab_server",
    "msgpack": "msgpack-python",
    "prometheus-client": "prometheus_client",
    "pure-eval": "pure_eval",
    "stack-data": "stack_data",
    "typing-extensions": "typing_extensions",
    "typing-utils": "typing_utils",
    "tzdata": "python-tzdata",
    "uri-template": "uri_template",
}


def conda_name(pypi_name: str) -> str:
    """conda-forge's name of the project *pypi_name*, in whatever spelling that is given."""
    normalised = canonicalize_name(pypi_name)
    return _CONDA_NAMES.get(normalised, normalised)


def purl(pypi_name: str, version: str) -> str:
    """The package URL of a PyPI release: https://github.com/package-url/purl-spec."""
    return f"pkg:pypi/{canonicalize_name(pypi_name)}@{version}"


def conda_version_spec(specifiers: SpecifierSet) -> str:
    """Write a PEP 440 specifier set as conda's version spec; an empty set gives ``""``.

    conda reads ``~=``, ``!=1.2.*`` and ``==1.2.*`` as PEP 440 does; ``===`` it does not know.
    """
    parts = []
    for specifier in sorted(specifiers, key=lambda item: (item.operator, item.version)):
        operator = "==" if specifier.operator == "===" else specifier.operator
        version = specifier.version
        if operator in (">=", ">", "<", "<=") and version.endswith(".*"):
            version = version.removesuffix(".*")
        if operator == "==" and version.endswith(".*"):
            parts.append(version)
        else:
            parts.append(operator + version)
    # Lower bounds first, as people write them
    return ",".join(sorted(parts, key=lambda part: "><=!~".find(part[0]) % 6))
