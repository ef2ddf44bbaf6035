#!/usr/bin/env python3
"""images.py BASE PROGRAMS OUT.tar: the images that kubeadm 1.20.2 asks for, as one OCI archive for `ctr images import`.

BASE is the root file system of the lab's hosts, PROGRAMS the folder with what tests/e2e/kubernetes/build made. There is
no registry: layers are plain tars with fixed times, so the digests are the same each time. coredns is a stand-in
(tools/dns), etcd:3.4.13-0 is Debian's etcd."""
import glob
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile

VERSION = "v1.20.2"
REGISTRY = "k8s.gcr.io/"
FOLDERS = ("tmp", "etc", "proc", "sys", "dev", "run", "var/log")
USERS = {
    "etc/passwd": b"root:x:0:0:root:/:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n",
    "etc/group": b"root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": b"hosts: files dns\n",
}
XTABLES = "/usr/lib/x86_64-linux-gnu/xtables/*.so"


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Layer:
    """A tar, folders made as needed."""

    def __init__(self):
        self.buffer = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.buffer, mode="w", format=tarfile.PAX_FORMAT)
        self.folders = {""}

    def folder(self, path):
        if path in self.folders:
            return
        self.folder(os.path.dirname(path))
        self.folders.add(path)
        info = tarfile.TarInfo(path + "/")
        info.type, info.mode = tarfile.DIRTYPE, 0o1777 if path == "tmp" else 0o755
        self.tar.addfile(info)

    def add(self, path, content, mode):
        self.folder(os.path.dirname(path))
        info = tarfile.TarInfo(path)
        info.size, info.mode = len(content), mode
        self.tar.addfile(info, io.BytesIO(content))

    def program(self, path, source):
        with open(source, "rb") as file:
            self.add(path, file.read(), 0o755)

    def link(self, path, target):
        self.folder(os.path.dirname(path))
        info = tarfile.TarInfo(path)
        info.type, info.linkname = tarfile.SYMTYPE, target
        self.tar.addfile(info)

    def system(self):
        for path in FOLDERS:
            self.folder(path)
        for path, content in USERS.items():
            self.add(path, content, 0o644)
        return self

    def done(self):
        self.tar.close()
        return self.buffer.getvalue()


class Archive:
    """An OCI image layout."""

    def __init__(self):
        self.blobs, self.index = {}, []

    def blob(self, data):
        self.blobs[sha256(data)] = data
        return {"digest": sha256(data), "size": len(data)}

    def image(self, name, layer, entrypoint=None):
        name = REGISTRY + name
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        config = {
            "architecture": "amd64",
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {"Env": [path], **({"Entrypoint": entrypoint} if entrypoint else {})},
            "rootfs": {"type": "layers", "diff_ids": [sha256(layer)]},
            "history": [{"created_by": "images.py"}],
        }
        oci = "application/vnd.oci.image."
        manifest = {
            "schemaVersion": 2,
            "mediaType": oci + "manifest.v1+json",
            "config": {"mediaType": oci + "config.v1+json", **self.blob(json.dumps(config).encode())},
            "layers": [{"mediaType": oci + "layer.v1.tar", **self.blob(layer)}],
        }
        names = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.rsplit(":", 1)[1]}
        entry = {"mediaType": manifest["mediaType"], **self.blob(json.dumps(manifest).encode()), "annotations": names}
        self.index.append({**entry, "platform": {"architecture": "amd64", "os": "linux"}})

    def write(self, path):
        files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}
        files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": self.index}).encode()
        files.update({"blobs/" + digest.replace(":", "/"): data for digest, data in self.blobs.items()})
        with tarfile.open(path, "w") as tar:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size, info.mode = len(data), 0o644
                tar.addfile(info, io.BytesIO(data))


def with_libraries(base, paths):
    """The files, the shared libraries that they need and the loader: {path in the base: real file here}."""
    chroot, found = ["chroot", base], {}
    for path in paths:
        listed = subprocess.run([*chroot, "ldd", path], capture_output=True, text=True, check=False).stdout.split()
        for one in [path, *(word for word in listed if word.startswith("/"))]:
            found[one] = base + subprocess.check_output([*chroot, "readlink", "-f", one], text=True).strip()
    return found


def pause():
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tools/pause.c")
    with tempfile.TemporaryDirectory() as folder:
        program = folder + "/pause"
        flags = ["-static", "-nostdlib", "-O1", "-fno-stack-protector", "-s"]
        subprocess.check_call(["gcc", *flags, "-o", program, source])
        layer = Layer()
        layer.program("pause", program)
    return layer.done()


def kube_proxy(base, programs):
    """It drives the node's iptables by Debian's nft-backed ones, which the hosts have too."""
    modules = glob.glob(base + XTABLES)
    real = [path[len(base):] for path in modules if not os.path.islink(path)]
    layer = Layer().system()
    tools = ["/usr/sbin/xtables-nft-multi", "/usr/sbin/conntrack", "/usr/bin/kmod"]
    for path, source in sorted(with_libraries(base, tools + real).items()):
        layer.program(path.lstrip("/"), source)
    layer.program("usr/local/bin/kube-proxy", programs + "/kube-proxy")
    for verb in ("", "-save", "-restore"):
        for family in ("iptables", "ip6tables"):
            layer.link("usr/sbin/" + family + verb, "xtables-nft-multi")
    layer.link("usr/sbin/modprobe", "../bin/kmod")
    for path in modules:
        if os.path.islink(path):
            layer.link(path[len(base) + 1:], os.readlink(path))
    return layer.done()


def etcd(base):
    layer = Layer().system()
    layer.folder("var/lib/etcd")
    for path, source in sorted(with_libraries(base, ["/usr/bin/etcd", "/usr/bin/etcdctl"]).items()):
        layer.program(path.replace("/usr/bin/", "/usr/local/bin/").lstrip("/"), source)
    return layer.done()


def single(programs, name, path):
    layer = Layer().system()
    layer.program(path, programs + "/" + name)
    return layer.done()


def main():
    base, programs, out = sys.argv[1:]
    archive = Archive()
    archive.image("pause:3.2", pause(), ["/pause"])
    for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        archive.image(f"{name}:{VERSION}", single(programs, name, "usr/local/bin/" + name))
    archive.image(f"kube-proxy:{VERSION}", kube_proxy(base, programs))
    archive.image("coredns:1.7.0", single(programs, "dns", "coredns"), ["/coredns"])
    archive.image("etcd:3.4.13-0", etcd(base))
    archive.write(out)


if __name__ == "__main__":
    main()
