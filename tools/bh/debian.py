# SPDX-License-Identifier: MIT
"""
Debian packages as material for guests: downloaded and verified by apt, unpacked, not installed.

apt runs on a root of its own (sources, lists, an empty package status) inside the cache, so the
system's package state is neither read nor changed. Only apt's transport settings (proxies and
the like) and the mirror's address are taken from the system.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time

from . import paths

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
LISTS_MAX_AGE_S = 7 * 24 * 3600

# A release here: the suites of the main archive, then those of the security archive.
RELEASES = {
    "bookworm": (["bookworm", "bookworm-updates"], ["bookworm-security"]),
    "trixie-backports": (["trixie", "trixie-backports"], ["trixie-security"]),
}

# Nickname: release, meta package, and the suite it is wanted from (None: apt's choice).
KERNELS = {
    "6.1-cloud": ("bookworm", "linux-image-cloud-amd64", None),
    "6.1": ("bookworm", "linux-image-amd64", None),
    "7.3-cloud": ("trixie-backports", "linux-image-cloud-amd64", "trixie-backports"),
}


class FetchError(Exception):
    """A package cannot be had; the text says why."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def run(argv, **kwargs):
    """Runs a command, returns its standard output; FetchError with its last words otherwise."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, errors="replace", check=False,
                          **kwargs)
    if done.returncode != 0:
        tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-6:])
        raise FetchError(f"{' '.join(map(str, argv[:4]))} … failed:\n{tail}")
    return done.stdout


def system_mirrors():
    """(main, security) archive addresses out of the system's own apt sources; security may be None."""
    out = run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)",
               "Created-By: Packages"])
    main = security = None
    for line in out.splitlines():
        uri, _, release = line.partition(" ")
        if release.endswith("-security"):
            security = security or uri
        elif re.fullmatch(r"[a-z]+", release):
            main = main or uri
    if main is None:
        raise FetchError("apt's sources on this system name no Debian archive")
    return main, security


def transport_settings():
    """The system's Acquire settings as text of an apt.conf: proxies, time limits, date checks."""
    lines = run(["apt-config", "dump", "Acquire"]).splitlines()
    return "\n".join(l for l in lines if not l.startswith("Acquire::IndexTargets")) + "\n"


class AptRoot:
    """One private apt root for one release. All methods need the cache's lock."""

    def __init__(self, cache, release):
        if release not in RELEASES:
            raise FetchError(f"unknown release {release}; known: {', '.join(RELEASES)}")
        self.release = release
        self.root = cache / "apt" / release
        self.conf = self.root / "apt.conf"
        self.stamp = self.root / "updated"
        self.env = dict(os.environ, APT_CONFIG=str(self.conf), LC_ALL="C",
                        DEBIAN_FRONTEND="noninteractive")

    def _write_config(self):
        for sub in ("state/lists/partial", "cache/archives/partial"):
            (self.root / sub).mkdir(parents=True, exist_ok=True)
        main, security = system_mirrors()
        main_suites, security_suites = RELEASES[self.release]
        rows = [(main, s) for s in main_suites]
        rows += [(security, s) for s in security_suites if security]
        sources = "".join(f"deb [arch=amd64 signed-by={KEYRING}] {uri} {suite} main\n"
                          for uri, suite in rows)
        paths.write_whole(self.root / "sources.list", sources.encode())
        (self.root / "status").touch()
        paths.write_whole(self.conf, f'''{transport_settings()}
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "{self.root}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "{self.root}/state";
Dir::State::status "{self.root}/status";
Dir::Cache "{self.root}/cache";
Dir::Cache::srcpkgcache "";
Dir::Log "{self.root}";
APT::Architecture "amd64";
APT::Architectures "amd64";
APT::Sandbox::User "";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Retries "3";
'''.encode())

    def _apt(self, *argv, cwd=None):
        return run([*argv], env=self.env, cwd=cwd)

    def update(self, force=False):
        """Makes the lists present and not too old."""
        fresh = self.stamp.exists() and time.time() - self.stamp.stat().st_mtime < LISTS_MAX_AGE_S
        if fresh and not force:
            return
        say(f"fetch: reading the package lists of {self.release}")
        self._write_config()
        self._apt("apt-get", "update", "-q", "-o", "APT::Update::Error-Mode=any")
        self.stamp.touch()

    def newest(self, name, suite=None):
        """The newest version of a package, of those in SUITE when it is given."""
        for line in self._apt("apt-cache", "madison", name).splitlines():
            _, version, where = (part.strip() for part in line.split("|"))
            if suite is None or f" {suite}/" in where:
                return version
        raise FetchError(f"{suite or self.release} has no package {name}")

    def depends(self, name, version):
        """Names of the packages that one package depends on, first alternatives only."""
        out = self._apt("apt-cache", "show", f"{name}={version}")
        got = re.search(r"^Depends: (.*)$", out, re.M)
        names = got.group(1).split(",") if got else []
        return [re.split(r"[ |(:]", n.strip())[0] for n in names]

    def closure(self, names, suite=None):
        """[(name, version)] of packages and all that they depend on, from SUITE by preference."""
        prefer = ["-t", suite] if suite else []
        out = self._apt("apt-get", "install", "--print-uris", "-qq", "--download-only", *prefer,
                        *names)
        rows = re.findall(r"^'\S+' (\S+?)_(\S+?)_\w+\.deb ", out, re.M)
        return [(name, version.replace("%3a", ":")) for name, version in rows]

    def download(self, rows, folder):
        """
        Downloads packages, [(name, version)], into FOLDER; apt checks size and hash, and leaves
        alone what is there already. Returns their paths in the same order.
        """
        say(f"fetch: {', '.join(f'{name} {version}' for name, version in rows)}")
        argv = ("apt-get", "download", "-q", *(f"{name}={version}" for name, version in rows))
        try:
            self._apt(*argv, cwd=folder)
        except FetchError:
            # The mirror may have moved on since the lists were read.
            self.update(force=True)
            self._apt(*argv, cwd=folder)
        return [next(folder.glob(f"{name}_{version.replace(':', '%3a')}_*.deb"))
                for name, version in rows]


def unpack(deb, folder):
    """Unpacks a .deb over FOLDER, whose top folders may be links into usr/."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as source:
        tar = subprocess.run(["tar", "-x", "--no-same-owner", "--keep-directory-symlink", "-C",
                              folder], stdin=source.stdout, check=False)
        source.stdout.close()
    if source.returncode != 0 or tar.returncode != 0:
        raise FetchError(f"{deb.name} cannot be unpacked")


def merged_usr(folder):
    """Gives an empty root the links that every Debian system has."""
    for name in ("bin", "sbin", "lib", "lib64"):
        (folder / "usr" / name).mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(f"usr/{name}")


class Cache:
    """The cache of unpacked packages. Entries appear whole or not at all."""

    def __init__(self, folder=None):
        self.folder = folder or paths.cache_dir()

    def _lock(self):
        return paths.locked(self.folder / "lock")

    def package(self, name, release="bookworm", refresh=False):
        """The folder into which the newest NAME is unpacked, without what it depends on."""
        return self.root(f"package-{name}", [name], release, refresh, closure=False)

    def root(self, label, names, release="bookworm", refresh=False, closure=True):
        """A folder holding the named packages with all that they depend on, unpacked together."""
        def choose(apt):
            return apt.closure(names) if closure else [(n, apt.newest(n)) for n in names]

        return self.chosen(label, sorted(names), choose, release, refresh=refresh)

    def chosen(self, label, asked, choose, release="bookworm", finish=None, refresh=False):
        """
        A folder of packages that CHOOSE(apt) lists as [(name, version)], unpacked together. It is
        made anew when ASKED, a list of strings, is not what it was made for. FINISH(folder) may
        change it before it appears.
        """
        final = self.folder / "roots" / release / label
        record = final / ".packages.json"
        with self._lock():
            if record.exists() and not refresh:
                if json.loads(record.read_text())["asked"] == asked:
                    return final
            apt = AptRoot(self.folder, release)
            apt.update(force=refresh)
            rows = choose(apt)
            with paths.staged_dir(final) as stage:
                merged_usr(stage)
                self._fill(apt, rows, stage)
                if finish:
                    finish(stage)
                (stage / ".packages.json").write_text(
                    json.dumps({"asked": asked, "got": rows}, indent=1))
        return final

    def kernel(self, nickname, refresh=False):
        """{'version', 'vmlinuz', 'modules', 'package'} of a kernel; modules.dep is made."""
        if nickname not in KERNELS:
            raise FetchError(f"unknown kernel {nickname}; known: {', '.join(KERNELS)}")
        release, meta, suite = KERNELS[nickname]
        final = self.folder / "kernels" / nickname
        with self._lock():
            if refresh or not (final / "kernel.json").exists():
                apt = AptRoot(self.folder, release)
                apt.update(force=refresh)
                with paths.staged_dir(final) as stage:
                    self._make_kernel(apt, meta, suite, stage)
            entry = json.loads((final / "kernel.json").read_text())
        for key in ("vmlinuz", "modules"):
            entry[key] = str(final / entry[key])
        return entry

    def _make_kernel(self, apt, meta, suite, stage):
        meta_version = apt.newest(meta, suite)
        image = next((name for name in apt.depends(meta, meta_version)
                      if name.startswith("linux-image-")), None)
        if image is None:
            raise FetchError(f"{meta} leads to no kernel image")
        version = apt.newest(image, suite)
        # Newer image packages are empty: the parts stand in packages of their own.
        parts = [image] + [name for name in apt.depends(image, version)
                           if re.match("linux-(base|binary|modules)-[0-9]", name)]
        merged_usr(stage)
        self._fill(apt, [(name, version) for name in parts], stage)
        vmlinuz = next((path for pattern in ("boot/vmlinuz-*", "lib/modules/*/vmlinuz")
                        for path in stage.glob(pattern)), None)
        modules = next(stage.glob("lib/modules/*"), None)
        if vmlinuz is None or modules is None:
            raise FetchError(f"{image} {version} holds no kernel")
        # The packages leave modules.dep to their installation scripts.
        depmod = shutil.which("depmod", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if depmod is None:
            raise FetchError("depmod is missing: the Debian package kmod has it")
        run([depmod, "-b", str(stage), modules.name])
        (stage / "kernel.json").write_text(json.dumps({
            "package": image, "version": version, "release": modules.name,
            "vmlinuz": str(vmlinuz.relative_to(stage)),
            "modules": str(modules.relative_to(stage))}, indent=1))

    def _fill(self, apt, rows, stage):
        """Unpacks packages over STAGE. What an interrupted run downloaded is used."""
        downloads = self.folder / "debs"
        downloads.mkdir(exist_ok=True)
        debs = apt.download(rows, downloads)
        for deb in debs:
            unpack(deb, stage)
        for deb in debs:
            deb.unlink()
