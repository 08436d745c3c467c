"""The Vagrant lab: the pair of the Vagrantfile, on libvirt or VirtualBox."""

from harness.lab.vagrant.lab import VagrantLab

__all__ = ["VagrantLab"]
