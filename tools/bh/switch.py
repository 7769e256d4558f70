# SPDX-License-Identifier: MIT
"""What the image of a parent needs for virtual switches: modules, Debian packages, bhswitch."""

from . import debian, initramfs, paths

BHSWITCH = paths.BUILD / "vmms" / "switch" / "bhswitch"
# Loaded at boot, because the image has no modprobe that the kernel could ask.
MODULES = ("bridge", "tun", "nf_tables", "nft_meta_bridge", "nft_limit", "nft_ct", "nft_chain_nat",
           "nft_masq", "nft_dup_netdev", "sch_tbf")
PACKAGES = ("nftables", "dnsmasq-base", "iproute2")
# nft brings the libraries that bhswitch is linked to.
PROGRAMS = ("nft", "dnsmasq", "ip", "bridge")


def root():
    """The folder of the cache that holds these packages."""
    return debian.Cache().root("switch", PACKAGES)


# dnsmasq wants to be somebody who can do little.
USERS = ("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/nonexistent:/bin/false\n"
         "dnsmasq:x:107:65534::/nonexistent:/bin/false\n")


def files():
    """(path in the image, source) pairs."""
    if not BHSWITCH.exists():
        raise initramfs.ImageError(f"{BHSWITCH} is not built")
    users = paths.BUILD / "image" / "passwd"
    paths.write_whole(users, USERS.encode())
    return [("/usr/sbin/bhswitch", BHSWITCH), ("/etc/passwd", users)]
