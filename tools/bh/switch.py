# SPDX-License-Identifier: MIT
"""What the image of a parent needs for virtual switches: modules, Debian packages, bhswitch."""

from . import debian, initramfs, paths

BHSWITCH = paths.BUILD / "vmms" / "switch" / "bhswitch"
# Loaded at boot, because the image has no modprobe that the kernel could ask.
MODULES = ("bridge", "tun", "nf_tables", "nft_limit", "nft_ct", "nft_chain_nat", "nft_masq",
           "nft_dup_netdev", "sch_tbf")
PACKAGES = ("nftables", "dnsmasq-base", "iproute2")
# nft brings the libraries that bhswitch is linked to.
PROGRAMS = ("nft", "dnsmasq", "ip", "bridge")


def root():
    """The folder of the cache that holds these packages."""
    return debian.Cache().root("switch", PACKAGES)


def files():
    """(path in the image, source) pairs."""
    if not BHSWITCH.exists():
        raise initramfs.ImageError(f"{BHSWITCH} is not built")
    return [("/usr/sbin/bhswitch", BHSWITCH)]
