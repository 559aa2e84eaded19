"""Turn the vendor's OpenAPI bundle into the generated half of ``timeweb_sdk``.

The pipeline is one straight line, one module per step::

    distil -> overlay -> normalise -> operations -> models -> resources

``python -m codegen --help`` lists the commands. Nothing of this package is in the wheel.
"""
