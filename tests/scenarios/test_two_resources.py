"""Two resources, each on a partition of the data disk."""

import pytest

from harness.cluster.pair import Pair
from harness.freebsd.hast.hastctl import Role

pytestmark = pytest.mark.hast(timeout=5, media_mib=16, local="partition", second="spare")


def test_both_nodes_active(provisioned_pair: Pair) -> None:
    """Each node is primary of one resource and secondary of the other, and both replicate.

    Taking one resource's role away leaves the other one as it was.
    """
    mirror, spare = provisioned_pair, provisioned_pair.of("spare")
    skunk1, skunk2 = mirror.nodes
    for resource in (mirror, spare):
        resource.create_resource()
    mirror.start_hastd()
    mirror.demote(skunk2)
    spare.demote(skunk1)
    mirror.promote(skunk1)
    spare.promote(skunk2)
    mirror.wait_until_complete(skunk1)
    spare.wait_until_complete(skunk2)
    for node, roles in (
        (skunk1, (Role.PRIMARY, Role.SECONDARY)),
        (skunk2, (Role.SECONDARY, Role.PRIMARY)),
    ):
        assert (mirror.role(node), spare.role(node)) == roles
        assert (mirror.has_device(node), spare.has_device(node)) == (
            roles[0] is Role.PRIMARY,
            roles[1] is Role.PRIMARY,
        )

    mirror.write_device(skunk1, 0)
    spare.write_device(skunk2, 0)
    mirror.wait_until_in_sync(skunk1)
    spare.wait_until_in_sync(skunk2)
    digests = [resource.replica(skunk1, 0) for resource in (mirror, spare)]
    assert digests == [resource.replica(skunk2, 0) for resource in (mirror, spare)]
    assert digests[0] != digests[1]

    worker = spare.info(skunk2).workerpid
    mirror.disconnect_role(skunk1)
    mirror.disconnect_role(skunk2)
    assert mirror.role(skunk1) is Role.INIT
    spare.write_device(skunk2, 1 << 20)
    spare.wait_until_in_sync(skunk2)
    assert spare.info(skunk2).workerpid == worker
    spare.check_replicas_equal()
