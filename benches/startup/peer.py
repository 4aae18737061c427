"""From the start to an opened storage or to records, with Keeper's Python packages. usage: peer.py ARN [--records]

With --records, KSM_TOKEN is the one-time token of a first start.
"""

import os
import sys

from keeper_secrets_manager_core.configkeys import ConfigKeys
from keeper_secrets_manager_storage.storage_aws_secret import AwsSecretStorage

# The path keeps the port of the host in Rust; here it would cut off all of it.
os.environ["KSM_HOSTNAME"] = os.environ["KSM_HOSTNAME"].removesuffix("/http")
# This reads the secret already. Any other mode is chosen afterwards, and reads it again.
storage = AwsSecretStorage(sys.argv[1])
if "--records" in sys.argv:
    from keeper_secrets_manager_core import SecretsManager

    token = os.environ.get("KSM_TOKEN")
    for record in SecretsManager(token=token, hostname="unused" if token else None, config=storage).get_secrets():
        print(record.title)
elif not storage.get(ConfigKeys.KEY_HOSTNAME):
    sys.exit("the secret holds no configuration")
