# SPDX-License-Identifier: MIT
"""What the tools of the tree share: paths, the package cache, the virtual host."""
