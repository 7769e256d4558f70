# SPDX-License-Identifier: MIT
"""
The virtual host: a QEMU machine with AMD-V in which the hypervisor and its parent run.

    with VirtualHost(Config(append="bh.mode=marker")) as host:
        host.console.wait(r"BULKHEAD-PARENT-UP .*", timeout_s=60)
        host.wait_exit(timeout_s=20)

console is the first serial line (the parent's), debug the second (the hypervisor's).
"""

import dataclasses
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

from . import debian, initramfs, paths, stream

QEMU = "qemu-system-x86_64"
OVMF_CODE = pathlib.Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
OVMF_VARS = pathlib.Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
# A kernel that panics resets at once, which ends the machine instead of hanging it.
PARENT_APPEND = "console=ttyS0 panic=-1"
# The first serial line is the parent's. A later console= in the options wins.
HV_OPTIONS = "console=com2"
QMP_TIMEOUT_S = 20
# Bytes are copied one by one in TCG, so no copies by bytes: docs/decisions/0003.
TCG_CPU = "max,-erms"
# The last line of a hypervisor that has stopped the machine.
HALTED = r"^bulkhead: .*[Tt]he machine is halted\.$"
# What Linux says when a processor of it does not get on: the hypervisor then tells its side.
STUCK, STUCK_DUMPS = r"rcu: INFO:|BUG: soft lockup|blocked for more than", "lvrt"


class VhostError(Exception):
    """The virtual host cannot be started or did not end as asked; the text says why."""


@dataclasses.dataclass
class Config:
    """What machine to build. Paths may be strings; None means the default or nothing."""

    hypervisor: object = paths.HYPERVISOR
    hv_options: str = ""
    kernel: str = "6.1-cloud"  # nickname (tools/fetch list) or path of a kernel image
    initrd: object = None      # path; None builds the usual image
    append: str = ""           # added to the parent's command line
    bare: bool = False         # boot the kernel without the hypervisor
    flat: bool = False         # boot the hypervisor file alone: no kernel, no initrd
    modules: tuple = ()        # further multiboot modules: "PATH ARGUMENTS"
    iso: object = None
    uefi: bool = False
    smp: int = 3  # one of them runs no VPs in TCG, see docs/decisions/0005
    memory_mib: int = 1024
    disks: tuple = ()          # "FILE[,bus=virtio|ahci][,format=FORMAT][,ro]"
    nets: tuple = ()           # "virtio|e1000[,forward=HOSTPORT:PORT]"
    vga: bool = False
    accel: str = "auto"        # auto, tcg, kvm
    cpu: str = ""              # None takes what the accelerator wants
    reboot: bool = False       # let the guest's reset restart the machine instead of ending it
    debug_exit: bool = False   # port 0xf4: writing V ends QEMU with status 2 * V + 1
    gdb: str = ""              # "tcp:127.0.0.1:1234": wait there for the debugger
    trace: object = None       # file for QEMU's record of interrupts and resets
    extra: tuple = ()          # further arguments for QEMU


def kvm_nested():
    """Whether this machine gives AMD-V to guests of KVM. The device file alone says nothing."""
    try:
        flags = pathlib.Path("/proc/cpuinfo").read_text().split("flags", 1)[1].split("\n", 1)[0]
        nested = pathlib.Path("/sys/module/kvm_amd/parameters/nested").read_text().strip()
    except (OSError, IndexError):
        return False
    return "svm" in flags.split() and nested in ("1", "Y") and os.access("/dev/kvm", os.R_OK | os.W_OK)


def _comma(text):
    """QEMU doubles commas inside of values."""
    return str(text).replace(",", ",,")


def _accel_arguments(config):
    accel = config.accel
    if accel == "auto":
        accel = "kvm" if kvm_nested() else "tcg"
    if accel == "kvm":
        return ["-accel", "kvm", "-cpu", config.cpu or "host"]
    return ["-accel", "tcg,thread=multi", "-cpu", config.cpu or TCG_CPU]


def _kernel_path(config):
    if config.kernel in debian.KERNELS:
        return debian.Cache().kernel(config.kernel)["vmlinuz"]
    if not pathlib.Path(config.kernel).is_file():
        raise VhostError(f"kernel {config.kernel}: no such nickname and no such file")
    return config.kernel


def _initrd_path(config):
    if config.initrd is not None:
        return config.initrd
    if config.kernel not in debian.KERNELS:
        raise VhostError("a kernel given as a file needs an initrd given as well")
    path = paths.BUILD / "image" / f"parent-{config.kernel}.img"
    paths.write_whole(path, initramfs.build(config.kernel))
    return path


def _boot_arguments(config):
    if config.iso:
        return ["-drive", f"if=none,id=cd,media=cdrom,readonly=on,file={_comma(config.iso)}",
                "-device", "ide-cd,drive=cd,bus=ide.2,bootindex=0"]
    command_line = f"{PARENT_APPEND} {config.append}".strip()
    if config.bare:
        return ["-kernel", str(_kernel_path(config)), "-initrd", str(_initrd_path(config)),
                "-append", command_line]
    if not pathlib.Path(config.hypervisor).is_file():
        raise VhostError(f"{config.hypervisor} is not built")
    modules = [] if config.flat else [f"{_kernel_path(config)} {command_line}",
                                      str(_initrd_path(config))]
    modules += config.modules
    out = ["-kernel", str(config.hypervisor), "-append",
           f"{HV_OPTIONS} {config.hv_options}".strip()]
    return out + (["-initrd", ",".join(_comma(m) for m in modules)] if modules else [])


def _disk_arguments(specs):
    out = []
    for n, spec in enumerate(specs):
        path, *options = str(spec).split(",")
        given = dict(o.partition("=")[::2] for o in options)
        bus = given.pop("bus", "virtio")
        image_format = given.pop("format", "raw")
        read_only = given.pop("ro", None) is not None
        if given or bus not in ("virtio", "ahci"):
            raise VhostError(f"disk {spec}: unknown option")
        out += ["-drive", f"if=none,id=disk{n},format={image_format},file={path}"
                          f"{',readonly=on' if read_only else ''}"]
        device = "virtio-blk-pci" if bus == "virtio" else f"ide-hd,bus=ide.{n}"
        out += ["-device", f"{device},drive=disk{n},serial=disk{n}"]
    return out


def _net_arguments(specs):
    models = {"virtio": "virtio-net-pci", "e1000": "e1000"}
    out = []
    for n, spec in enumerate(specs):
        model, *options = spec.split(",")
        if model not in models:
            raise VhostError(f"network card {spec}: one of {', '.join(models)} is wanted")
        user = f"user,id=net{n},restrict=off"
        for option in options:
            key, _, value = option.partition("=")
            host_port, _, guest_port = value.partition(":")
            if key != "forward":
                raise VhostError(f"network card {spec}: unknown option")
            user += f",hostfwd=tcp:127.0.0.1:{host_port}-:{guest_port}"
        out += ["-netdev", user, "-device", f"{models[model]},netdev=net{n}"]
    return out


def qemu_arguments(config, scratch):
    """The command line of the machine, without its serial lines and monitor."""
    out = [QEMU, "-nodefaults", "-no-user-config", "-machine", "q35,smm=off",
           *_accel_arguments(config), "-smp", str(config.smp), "-m", f"{config.memory_mib}M",
           "-display", "none"]
    if config.uefi:
        if not OVMF_CODE.exists():
            raise VhostError("no UEFI firmware: tools/deps uefi installs it")
        variables = pathlib.Path(scratch) / "uefi-variables.fd"
        shutil.copyfile(OVMF_VARS, variables)
        out += ["-drive", f"if=pflash,format=raw,readonly=on,file={OVMF_CODE}",
                "-drive", f"if=pflash,format=raw,file={variables}"]
    out += _boot_arguments(config) + _disk_arguments(config.disks) + _net_arguments(config.nets)
    out += ["-vga", "std"] if config.vga else []
    out += [] if config.reboot else ["-no-reboot"]
    out += ["-device", "isa-debug-exit,iobase=0xf4,iosize=4"] if config.debug_exit else []
    out += ["-S", "-gdb", config.gdb] if config.gdb else []
    out += ["-d", "int,cpu_reset", "-D", str(config.trace)] if config.trace else []
    return out + list(config.extra)


class VirtualHost:
    """A running machine whose serial lines and monitor belong to this process."""

    def __init__(self, config, log_dir=None, echo=None):
        """LOG_DIR: folder for the lines' and QEMU's logs; ECHO: file that shows the console."""
        self.config = config
        self._log_dir = pathlib.Path(log_dir) if log_dir else None
        self._echo = echo
        self._events = []
        self._qmp_rest = b""
        self.shutdown_reason = None
        self.process = self.console = self.debug = self._monitor = self._scratch = None
        self._errors = None

    def __enter__(self):
        self._scratch = tempfile.TemporaryDirectory(prefix="bulkhead-")
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def _start(self):
        arguments = qemu_arguments(self.config, self._scratch.name)
        ours, theirs = zip(*(socket.socketpair() for _ in range(3)))
        for name, end in zip(("console", "debug", "monitor"), theirs):
            arguments += ["-chardev", f"socket,id={name},fd={end.fileno()}"]
        arguments += ["-serial", "chardev:console", "-serial", "chardev:debug",
                      "-mon", "chardev=monitor,mode=control"]
        if self._log_dir:
            self._log_dir.mkdir(parents=True, exist_ok=True)
        self._errors = (self._log_dir or pathlib.Path(self._scratch.name)) / "qemu.log"
        errors = open(self._errors, "wb")
        self._started = time.monotonic()
        self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=errors,
                                        stderr=errors, pass_fds=[e.fileno() for e in theirs])
        errors.close()
        for end in theirs:
            end.close()
        logs = (None, None)
        if self._log_dir:
            logs = (self._log_dir / "console.log", self._log_dir / "hypervisor.log")
        self.console = stream.Stream("console", ours[0], logs[0], self._echo,
                                     alarm=(STUCK, lambda _: self.debug.send(STUCK_DUMPS)))
        self.debug = stream.Stream("hypervisor", ours[1], logs[1],
                                   alarm=(HALTED, lambda _: self.console.give_up(
                                       "the hypervisor halted the machine")))
        self._monitor = ours[2]
        self._next_message(QMP_TIMEOUT_S)  # the greeting
        self.qmp("qmp_capabilities")

    def elapsed_s(self):
        return time.monotonic() - self._started

    def _next_message(self, timeout_s):
        """The next object from the monitor; None at its end."""
        self._monitor.settimeout(timeout_s)
        while b"\n" not in self._qmp_rest:
            try:
                data = self._monitor.recv(65536)
            except TimeoutError as problem:
                raise VhostError("QEMU's monitor does not answer") from problem
            except ConnectionError:
                data = b""
            if not data:
                if self.process.wait(QMP_TIMEOUT_S) != 0:
                    raise VhostError(f"QEMU ended: {self.errors()}")
                return None
            self._qmp_rest += data
        line, _, self._qmp_rest = self._qmp_rest.partition(b"\n")
        message = json.loads(line)
        if "event" in message:
            self._events.append(message)
            if message["event"] == "SHUTDOWN":
                self.shutdown_reason = message["data"]["reason"]
        return message

    def errors(self):
        """How QEMU ended, and what it said itself (not the guest); call it after the end."""
        status = self.process.wait(QMP_TIMEOUT_S)
        return f"status {status}: {self._errors.read_text(errors='replace').strip()}"

    def qmp(self, command, **arguments):
        """Runs a monitor command and returns its answer."""
        request = {"execute": command}
        if arguments:
            request["arguments"] = {k.replace("_", "-"): v for k, v in arguments.items()}
        self._monitor.sendall(json.dumps(request).encode())
        while True:
            message = self._next_message(QMP_TIMEOUT_S)
            if message is None:
                raise VhostError(f"{command}: QEMU is gone")
            if "error" in message:
                raise VhostError(f"{command}: {message['error']['desc']}")
            if "return" in message:
                return message["return"]

    def monitor(self, command_line):
        """Runs a command of QEMU's human monitor ("info registers") and returns its text."""
        return self.qmp("human-monitor-command", command_line=command_line)

    def wait_exit(self, timeout_s):
        """Waits for the machine to end by itself; returns QEMU's status and keeps the reason."""
        try:
            status = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise VhostError(f"the machine did not end in {timeout_s} s; console's last output:\n"
                             f"{self.console.tail()}") from None
        for line in (self.console, self.debug):
            line.wait_end(5)
        try:
            while self._next_message(1) is not None:
                pass
        except VhostError:
            pass  # only the events were wanted
        return status

    def close(self):
        """Ends the machine, however it stands, and frees all that belongs to it."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for line in (self.console, self.debug):
            if line:
                line.wait_end(5)
                line.close()
        if self._monitor:
            self._monitor.close()
        if self._scratch:
            self._scratch.cleanup()
