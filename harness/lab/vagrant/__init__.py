"""The Vagrant lab: the pair of the Vagrantfile, on libvirt or VirtualBox."""
