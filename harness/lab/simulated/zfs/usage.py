"""What zpool(8) and zfs(8) say about their use, as 13.2 printed it (recorded run)."""

from __future__ import annotations

# ruff: noqa: E501 - printed by another program, line by line

ZPOOL = """\
missing command
usage: zpool command args ...
where 'command' is one of the following:

\tversion

\tcreate [-fnd] [-o property=value] ...\x20
\t    [-O file-system-property=value] ...\x20
\t    [-m mountpoint] [-R root] <pool> <vdev> ...
\tdestroy [-f] <pool>

\tadd [-fgLnP] [-o property=value] <pool> <vdev> ...
\tremove [-npsw] <pool> <device> ...

\tlabelclear [-f] <vdev>

\tcheckpoint [-d [-w]] <pool> ...

\tlist [-gHLpPv] [-o property[,...]] [-T d|u] [pool] ...\x20
\t    [interval [count]]
\tiostat [[[-c [script1,script2,...][-lq]]|[-rw]] [-T d | u] [-ghHLpPvy]
\t    [[pool ...]|[pool vdev ...]|[vdev ...]] [[-n] interval [count]]
\tstatus [-c [script1,script2,...]] [-igLpPstvxD]  [-T d|u] [pool] ...\x20
\t    [interval [count]]

\tonline [-e] <pool> <device> ...
\toffline [-f] [-t] <pool> <device> ...
\tclear [-nF] <pool> [device]
\treopen [-n] <pool>

\tattach [-fsw] [-o property=value] <pool> <device> <new-device>
\tdetach <pool> <device>
\treplace [-fsw] [-o property=value] <pool> <device> [new-device]
\tsplit [-gLnPl] [-R altroot] [-o mntopts]
\t    [-o property=value] <pool> <newpool> [<device> ...]

\tinitialize [-c | -s] [-w] <pool> [<device> ...]
\tresilver <pool> ...
\tscrub [-s | -p] [-w] <pool> ...
\ttrim [-dw] [-r <rate>] [-c | -s] <pool> [<device> ...]

\timport [-d dir] [-D]
\timport [-o mntopts] [-o property=value] ...\x20
\t    [-d dir | -c cachefile] [-D] [-l] [-f] [-m] [-N] [-R root] [-F [-n]] -a
\timport [-o mntopts] [-o property=value] ...\x20
\t    [-d dir | -c cachefile] [-D] [-l] [-f] [-m] [-N] [-R root] [-F [-n]]
\t    [--rewind-to-checkpoint] <pool | id> [newpool]
\texport [-af] <pool> ...
\tupgrade
\tupgrade -v
\tupgrade [-V version] <-a | pool ...>
\treguid <pool>

\thistory [-il] [<pool>] ...
\tevents [-vHf [pool] | -c]

\tget [-Hp] [-o "all" | field[,...]] <"all" | property[,...]> <pool> ...
\tset <property=value> <pool>\x20
\tsync [pool] ...

\twait [-Hp] [-T d|u] [-t <activity>[,...]] <pool> [interval]
"""

ZFS = """\
missing command
usage: zfs command args ...
where 'command' is one of the following:

\tversion

\tcreate [-Pnpuv] [-o property=value] ... <filesystem>
\tcreate [-Pnpsv] [-b blocksize] [-o property=value] ... -V <size> <volume>
\tdestroy [-fnpRrv] <filesystem|volume>
\tdestroy [-dnpRrv] <filesystem|volume>@<snap>[%<snap>][,...]
\tdestroy <filesystem|volume>#<bookmark>

\tsnapshot [-r] [-o property=value] ... <filesystem|volume>@<snap> ...
\trollback [-rRf] <snapshot>
\tclone [-p] [-o property=value] ... <snapshot> <filesystem|volume>
\tpromote <clone-filesystem>
\trename [-f] <filesystem|volume|snapshot> <filesystem|volume|snapshot>
\trename -p [-f] <filesystem|volume> <filesystem|volume>
\trename -u [-f] <filesystem> <filesystem>
\trename -r <snapshot> <snapshot>
\tbookmark <snapshot|bookmark> <newbookmark>
\tprogram [-jn] [-t <instruction limit>] [-m <memory limit (b)>]
\t    <pool> <program file> [lua args...]

\tlist [-Hp] [-r|-d max] [-o property[,...]] [-s property]...
\t    [-S property]... [-t type[,...]] [filesystem|volume|snapshot] ...

\tset <property=value> ... <filesystem|volume|snapshot> ...
\tget [-rHp] [-d max] [-o "all" | field[,...]]
\t    [-t type[,...]] [-s source[,...]]
\t    <"all" | property[,...]> [filesystem|volume|snapshot|bookmark] ...
\tinherit [-rS] <property> <filesystem|volume|snapshot> ...
\tupgrade [-v]
\tupgrade [-r] [-V version] <-a | filesystem ...>

\tuserspace [-Hinp] [-o field[,...]] [-s field] ...
\t    [-S field] ... [-t type[,...]] <filesystem|snapshot|path>
\tgroupspace [-Hinp] [-o field[,...]] [-s field] ...
\t    [-S field] ... [-t type[,...]] <filesystem|snapshot|path>
\tprojectspace [-Hp] [-o field[,...]] [-s field] ...\x20
\t    [-S field] ... <filesystem|snapshot|path>

\tproject [-d|-r] <directory|file ...>
\tproject -c [-0] [-d|-r] [-p id] <directory|file ...>
\tproject -C [-k] [-r] <directory ...>
\tproject [-p id] [-r] [-s] <directory ...>

\tmount
\tmount [-flvO] [-o opts] <-a | filesystem>
\tunmount [-fu] <-a | filesystem|mountpoint>
\tshare [-l] <-a [nfs|smb] | filesystem>
\tunshare <-a [nfs|smb] | filesystem|mountpoint>

\tsend [-DnPpRvLecwhb] [-[i|I] snapshot] <snapshot>
\tsend [-DnvPLecw] [-i snapshot|bookmark] <filesystem|volume|snapshot>
\tsend [-DnPpvLec] [-i bookmark|snapshot] --redact <bookmark> <snapshot>
\tsend [-nvPe] -t <receive_resume_token>
\tsend [-Pnv] --saved filesystem
\treceive [-vMnsFhu] [-o <property>=<value>] ... [-x <property>] ...
\t    <filesystem|volume|snapshot>
\treceive [-vMnsFhu] [-o <property>=<value>] ... [-x <property>] ...\x20
\t    [-d | -e] <filesystem>
\treceive -A <filesystem|volume>

\tallow <filesystem|volume>
\tallow [-ldug] <"everyone"|user|group>[,...] <perm|@setname>[,...]
\t    <filesystem|volume>
\tallow [-ld] -e <perm|@setname>[,...] <filesystem|volume>
\tallow -c <perm|@setname>[,...] <filesystem|volume>
\tallow -s @setname <perm|@setname>[,...] <filesystem|volume>

\tunallow [-rldug] <"everyone"|user|group>[,...]
\t    [<perm|@setname>[,...]] <filesystem|volume>
\tunallow [-rld] -e [<perm|@setname>[,...]] <filesystem|volume>
\tunallow [-r] -c [<perm|@setname>[,...]] <filesystem|volume>
\tunallow [-r] -s @setname [<perm|@setname>[,...]] <filesystem|volume>

\thold [-r] <tag> <snapshot> ...
\tholds [-rH] <snapshot> ...
\trelease [-r] <tag> <snapshot> ...
\tdiff [-FHt] <snapshot> [snapshot|filesystem]
\tload-key [-rn] [-L <keylocation>] <-a | filesystem|volume>
\tunload-key [-r] <-a | filesystem|volume>
\tchange-key [-l] [-o keyformat=<value>]
\t    [-o keylocation=<value>] [-o pbkdf2iters=<value>]
\t    <filesystem|volume>
\tchange-key -i [-l] <filesystem|volume>
\tredact <snapshot> <bookmark> <redaction_snapshot> ...
\twait [-t <activity>] <filesystem>
\tjail <jailid|jailname> <filesystem>
\tunjail <jailid|jailname> <filesystem>

Each dataset is of the form: pool/[dataset/]*dataset[@name]

For the property list, run: zfs set|get

For the delegated permission list, run: zfs allow|unallow
"""

ZPOOL_COMMANDS = {
    "create": """\
\tcreate [-fnd] [-o property=value] ...\x20
\t    [-O file-system-property=value] ...\x20
\t    [-m mountpoint] [-R root] <pool> <vdev> ...
""",
    "destroy": """\
\tdestroy [-f] <pool>
""",
    "labelclear": """\
\tlabelclear [-f] <vdev>
""",
    "list": """\
\tlist [-gHLpPv] [-o property[,...]] [-T d|u] [pool] ...\x20
\t    [interval [count]]
""",
    "status": """\
\tstatus [-c [script1,script2,...]] [-igLpPstvxD]  [-T d|u] [pool] ...\x20
\t    [interval [count]]
""",
    "clear": """\
\tclear [-nF] <pool> [device]
""",
    "scrub": """\
\tscrub [-s | -p] [-w] <pool> ...
""",
    "import": """\
\timport [-d dir] [-D]
\timport [-o mntopts] [-o property=value] ...\x20
\t    [-d dir | -c cachefile] [-D] [-l] [-f] [-m] [-N] [-R root] [-F [-n]] -a
\timport [-o mntopts] [-o property=value] ...\x20
\t    [-d dir | -c cachefile] [-D] [-l] [-f] [-m] [-N] [-R root] [-F [-n]]
\t    [--rewind-to-checkpoint] <pool | id> [newpool]
""",
    "export": """\
\texport [-af] <pool> ...
""",
    "history": """\
\thistory [-il] [<pool>] ...
""",
    "get": """\
\tget [-Hp] [-o "all" | field[,...]] <"all" | property[,...]> <pool> ...
""",
    "set": """\
\tset <property=value> <pool>\x20
""",
    "sync": """\
\tsync [pool] ...
""",
    "version": """\
\tversion
""",
    "iostat": """\
\tiostat [[[-c [script1,script2,...][-lq]]|[-rw]] [-T d | u] [-ghHLpPvy]
\t    [[pool ...]|[pool vdev ...]|[vdev ...]] [[-n] interval [count]]
""",
}

ZFS_COMMANDS = {
    "create": """\
\tcreate [-Pnpuv] [-o property=value] ... <filesystem>
\tcreate [-Pnpsv] [-b blocksize] [-o property=value] ... -V <size> <volume>
""",
    "destroy": """\
\tdestroy [-fnpRrv] <filesystem|volume>
\tdestroy [-dnpRrv] <filesystem|volume>@<snap>[%<snap>][,...]
\tdestroy <filesystem|volume>#<bookmark>
""",
    "snapshot": """\
\tsnapshot [-r] [-o property=value] ... <filesystem|volume>@<snap> ...
""",
    "list": """\
\tlist [-Hp] [-r|-d max] [-o property[,...]] [-s property]...
\t    [-S property]... [-t type[,...]] [filesystem|volume|snapshot] ...
""",
    "set": """\
\tset <property=value> ... <filesystem|volume|snapshot> ...
""",
    "get": """\
\tget [-rHp] [-d max] [-o "all" | field[,...]]
\t    [-t type[,...]] [-s source[,...]]
\t    <"all" | property[,...]> [filesystem|volume|snapshot|bookmark] ...
""",
    "inherit": """\
\tinherit [-rS] <property> <filesystem|volume|snapshot> ...
""",
    "mount": """\
\tmount
\tmount [-flvO] [-o opts] <-a | filesystem>
""",
    "unmount": """\
\tunmount [-fu] <-a | filesystem|mountpoint>
""",
    "share": """\
\tshare [-l] <-a [nfs|smb] | filesystem>
""",
    "version": """\
\tversion
""",
}

ZPOOL_PROPERTIES = """\
the following properties are supported:

\tPROPERTY             EDIT   VALUES

\tallocated              NO   <size>
\tcapacity               NO   <size>
\tcheckpoint             NO   <size>
\tdedupratio             NO   <1.00x or higher if deduped>
\texpandsize             NO   <size>
\tfragmentation          NO   <percent>
\tfree                   NO   <size>
\tfreeing                NO   <size>
\tguid                   NO   <guid>
\thealth                 NO   <state>
\tleaked                 NO   <size>
\tload_guid              NO   <load_guid>
\tsize                   NO   <size>
\taltroot               YES   <path>
\tashift                YES   <ashift, 9-16, or 0=default>
\tautoexpand            YES   on | off
\tautoreplace           YES   on | off
\tautotrim              YES   on | off
\tbootfs                YES   <filesystem>
\tcachefile             YES   <file> | none
\tcomment               YES   <comment-string>
\tcompatibility         YES   <file[,file...]> | off | legacy
\tdelegation            YES   on | off
\tfailmode              YES   wait | continue | panic
\tlistsnapshots         YES   on | off
\tmultihost             YES   on | off
\treadonly              YES   on | off
\tversion               YES   <version>
\tfeature@...           YES   disabled | enabled | active

The feature@ properties must be appended with a feature name.
See zpool-features(7).
"""

ZFS_PROPERTIES = """\
The following properties are supported:

\tPROPERTY       EDIT  INHERIT   VALUES

\tavailable        NO       NO   <size>
\tclones           NO       NO   <dataset>[,...]
\tcompressratio    NO       NO   <1.00x or higher if compressed>
\tcreatetxg        NO       NO   <uint64>
\tcreation         NO       NO   <date>
\tdefer_destroy    NO       NO   yes | no
\tencryptionroot   NO       NO   <filesystem | volume>
\tfilesystem_count  NO       NO   <count>
\tguid             NO       NO   <uint64>
\tkeystatus        NO       NO   none | unavailable | available
\tlogicalreferenced  NO       NO   <size>
\tlogicalused      NO       NO   <size>
\tmounted          NO       NO   yes | no
\tobjsetid         NO       NO   <uint64>
\torigin           NO       NO   <snapshot>
\treceive_resume_token  NO       NO   <string token>
\tredact_snaps     NO       NO   <snapshot>[,...]
\trefcompressratio  NO       NO   <1.00x or higher if compressed>
\treferenced       NO       NO   <size>
\tsnapshot_count   NO       NO   <count>
\ttype             NO       NO   filesystem | volume | snapshot | bookmark
\tused             NO       NO   <size>
\tusedbychildren   NO       NO   <size>
\tusedbydataset    NO       NO   <size>
\tusedbyrefreservation  NO       NO   <size>
\tusedbysnapshots  NO       NO   <size>
\tuserrefs         NO       NO   <count>
\twritten          NO       NO   <size>
\taclinherit      YES      YES   discard | noallow | restricted | passthrough | passthrough-x
\taclmode         YES      YES   discard | groupmask | passthrough | restricted
\tacltype         YES      YES   off | nfsv4 | posix
\tatime           YES      YES   on | off
\tcanmount        YES       NO   on | off | noauto
\tcasesensitivity  NO      YES   sensitive | insensitive | mixed
\tchecksum        YES      YES   on | off | fletcher2 | fletcher4 | sha256 | sha512 | skein
\tcompression     YES      YES   on | off | lzjb | gzip | gzip-[1-9] | zle | lz4 | zstd | zstd-[1-19] | zstd-fast | zstd-fast-[1-10,20,30,40,50,60,70,80,90,100,500,1000]
\tcontext         YES       NO   <selinux context>
\tcopies          YES      YES   1 | 2 | 3
\tdedup           YES      YES   on | off | verify | sha256[,verify] | sha512[,verify] | skein[,verify]
\tdefcontext      YES       NO   <selinux defcontext>
\tdevices         YES      YES   on | off
\tdnodesize       YES      YES   legacy | auto | 1k | 2k | 4k | 8k | 16k
\tencryption       NO      YES   on | off | aes-128-ccm | aes-192-ccm | aes-256-ccm | aes-128-gcm | aes-192-gcm | aes-256-gcm
\texec            YES      YES   on | off
\tfilesystem_limit YES       NO   <count> | none
\tfscontext       YES       NO   <selinux fscontext>
\tjailed          YES      YES   on | off
\tkeyformat        NO       NO   none | raw | hex | passphrase
\tkeylocation     YES       NO   prompt | <file URI> | <https URL> | <http URL>
\tlogbias         YES      YES   latency | throughput
\tmlslabel        YES      YES   <sensitivity label>
\tmountpoint      YES      YES   <path> | legacy | none
\tnbmand          YES      YES   on | off
\tnormalization    NO      YES   none | formC | formD | formKC | formKD
\toverlay         YES      YES   on | off
\tpbkdf2iters      NO       NO   <iters>
\tprimarycache    YES      YES   all | none | metadata
\tquota           YES       NO   <size> | none
\treadonly        YES      YES   on | off
\trecordsize      YES      YES   512 to 1M, power of 2
\tredundant_metadata YES      YES   all | most | some | none
\trefquota        YES       NO   <size> | none
\trefreservation  YES       NO   <size> | none
\trelatime        YES      YES   on | off
\treservation     YES       NO   <size> | none
\trootcontext     YES       NO   <selinux rootcontext>
\tsecondarycache  YES      YES   all | none | metadata
\tsetuid          YES      YES   on | off
\tsharenfs        YES      YES   on | off | NFS share options
\tsharesmb        YES      YES   on | off | SMB share options
\tsnapdev         YES      YES   hidden | visible
\tsnapdir         YES      YES   hidden | visible
\tsnapshot_limit  YES       NO   <count> | none
\tspecial_small_blocks YES      YES   zero or 512 to 1M, power of 2
\tsync            YES      YES   standard | always | disabled
\tutf8only         NO      YES   on | off
\tversion         YES       NO   1 | 2 | 3 | 4 | 5 | current
\tvolblocksize     NO      YES   512 to 128k, power of 2
\tvolmode         YES      YES   default | full | geom | dev | none
\tvolsize         YES       NO   <size>
\tvscan           YES      YES   on | off
\txattr           YES      YES   on | off | dir | sa
\tuserused@...     NO       NO   <size>
\tgroupused@...    NO       NO   <size>
\tprojectused@...  NO       NO   <size>
\tuserobjused@...  NO       NO   <size>
\tgroupobjused@...  NO       NO   <size>
\tprojectobjused@...  NO       NO   <size>
\tuserquota@...   YES       NO   <size> | none
\tgroupquota@...  YES       NO   <size> | none
\tprojectquota@... YES       NO   <size> | none
\tuserobjquota@... YES       NO   <size> | none
\tgroupobjquota@... YES       NO   <size> | none
\tprojectobjquota@... YES       NO   <size> | none
\twritten@<snap>   NO       NO   <size>
\twritten#<bookmark>  NO       NO   <size>

Sizes are specified in bytes with standard units such as K, M, G, etc.

User-defined properties can be specified by using a name containing a colon (:).

The {user|group|project}[obj]{used|quota}@ properties must be appended with
a user|group|project specifier of one of these forms:
    POSIX name      (eg: "matt")
    POSIX id        (eg: "126829")
    SMB name@domain (eg: "matt@sun")
    SMB SID         (eg: "S-1-234-567-89")
"""
