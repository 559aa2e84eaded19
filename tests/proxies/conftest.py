from tests.sdk.conftest import clock, no_settings

__all__ = ["clock", "no_settings"]
