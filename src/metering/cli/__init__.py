"""The developer's tool `meter`: records single events and replays traces through the SDK."""

import os

# gRPC reads this when it is imported. Its own lines about connections that come and go would be
# noise between the lines of the commands, which say themselves what is wrong.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
