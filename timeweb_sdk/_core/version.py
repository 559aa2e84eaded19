"""The version, which the build reads here, and the name that the API sees."""

VERSION = "0.1.0"
USER_AGENT = f"timeweb-sdk/{VERSION}"
