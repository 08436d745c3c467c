# Reads a Vagrantfile with everything that Vagrant offers replaced by recorders, and prints what it
# says of each machine as JSON. `ruby vagrantfile.rb VAGRANTFILE [RELEASE OF vagrant-libvirt]`

require "json"

# Notes every assignment and call; `vm`, `ssh` and the like are recorders themselves.
class Recorder
  attr_reader :said

  def initialize
    @said = Hash.new { |said, name| said[name] = [] }
    @parts = {}
  end

  def method_missing(name, *arguments, **options, &block)
    return (@parts[name] ||= Recorder.new) if arguments.empty? && options.empty? && block.nil?

    arguments << options unless options.empty?
    @said[name.to_s.delete_suffix("=")] << arguments
    block&.call(*Array.new(block.arity) { Recorder.new.tap { |one| @said["in #{name}"] << one } })
  end

  def respond_to_missing?(*)
    true
  end

  def to_json(*arguments)
    said.merge(@parts).to_json(*arguments)
  end
end

module Vagrant
  def self.configure(_version)
    root = Recorder.new
    yield root
    puts root.to_json
  end
end

release = ARGV[1]
plugin = Struct.new(:version).new(Gem::Version.new(release)) if release
Gem.loaded_specs["vagrant-libvirt"] = plugin if plugin
load ARGV[0]
