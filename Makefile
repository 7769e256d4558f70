# SPDX-License-Identifier: MIT
# The verbs; what they do is in tools/. ARGS goes to the tool: make run ARGS="--smp 4".
.PHONY: help run check bench lint iso install clean
help:
	@echo 'make run      build, and boot Debian as parent partition in a virtual host'
	@echo 'make check    everything that guards a commit'
	@echo 'make lint     only format, headers, includes and scripts'
	@echo 'make bench    measurements'
	@echo 'make iso      build/bulkhead.iso, which boots by GRUB from BIOS and UEFI'
	@echo 'make install  put the hypervisor into DESTDIR/boot'
	@echo 'make clean    remove build/'
	@echo 'ARGS="..." is handed to the tool; each tool in tools/ has --help.'

run:
	@tools/run $(ARGS)

check:
	@tools/deps build vid run check iso uefi
	@tools/check $(ARGS)

lint:
	@tools/deps build check
	@tools/lint $(ARGS)

bench:
	@tools/deps build vid run bench
	@tools/build
	@test -x bench/run || { echo 'bench: no measurement is in the tree yet'; exit 1; }
	@bench/run $(ARGS)

iso:
	@tools/deps build run iso
	@tools/build
	@image/iso $(ARGS)

install:
	@tools/deps build
	@tools/build
	install -D -m 644 build/hypervisor/bulkhead.elf32 $(DESTDIR)/boot/bulkhead.elf32

clean:
	rm -rf build
