"""From the start to an opened storage, with Keeper's Python package. usage: peer.py ARN [--peak]"""

import resource
import sys

from keeper_secrets_manager_core.configkeys import ConfigKeys
from keeper_secrets_manager_storage.storage_aws_secret import AwsSecretStorage

# This reads the secret already. Any other mode is chosen afterwards, and reads it again.
storage = AwsSecretStorage(sys.argv[1])
if not storage.get(ConfigKeys.KEY_HOSTNAME):
    sys.exit("the secret holds no configuration")
if "--peak" in sys.argv:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
