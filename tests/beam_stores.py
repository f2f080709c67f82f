"""Two stores in a folder that only Beam's file systems reach: `pail://`, with names alone, as `s3://` and `gs://` are,
and `dfs://`, with folders, in which nothing is renamed onto a file that is there, as in `hdfs://`.
"""

import posixpath
import shutil
from pathlib import Path

from apache_beam.io.filesystem import BeamIOError, FileMetadata, FileSystem


class Pail(FileSystem):
    root: Path

    @classmethod
    def scheme(cls):
        return "pail"

    def place(self, address):
        return self.root / address.removeprefix(f"{self.scheme()}://")

    def has_dirs(self):
        return False

    def join(self, basepath, *paths):
        return posixpath.join(basepath, *paths)

    def split(self, path):
        return posixpath.split(path)

    def mkdirs(self, path):
        raise AssertionError("stores of names make no folders")

    def _list(self, dir_or_prefix):
        for path in self.root.rglob("*"):
            address = f"{self.scheme()}://{path.relative_to(self.root).as_posix()}"
            if path.is_file() and address.startswith(dir_or_prefix):
                yield self.metadata(address)

    def create(self, path, mime_type="", compression_type="auto"):
        assert compression_type == "uncompressed"
        self.place(path).parent.mkdir(parents=True, exist_ok=True)
        return self.place(path).open("wb")

    def open(self, path, mime_type="", compression_type="auto"):
        assert compression_type == "uncompressed"
        return self.place(path).open("rb")

    def copy(self, source_file_names, destination_file_names):
        raise NotImplementedError

    def rename(self, source_file_names, destination_file_names):
        for source, destination in zip(source_file_names, destination_file_names, strict=True):
            self.place(source).replace(self.place(destination))

    def exists(self, path):
        return self.place(path).is_file()

    def size(self, path):
        return self.place(path).stat().st_size

    def last_updated(self, path):
        return self.place(path).stat().st_mtime

    def metadata(self, path):
        return FileMetadata(path, self.size(path), self.last_updated(path))

    def checksum(self, path):
        raise NotImplementedError

    def delete(self, paths):
        for path in map(self.place, paths):
            path.unlink()
            # A folder of names is there as long as there is one of them.
            if not any(path.parent.iterdir()):
                path.parent.rmdir()


class Dfs(Pail):
    @classmethod
    def scheme(cls):
        return "dfs"

    def has_dirs(self):
        return True

    def mkdirs(self, path):
        self.place(path).mkdir(parents=True)

    def exists(self, path):
        return self.place(path).exists()

    def rename(self, source_file_names, destination_file_names):
        if any(map(self.exists, destination_file_names)):
            raise BeamIOError("there already")
        super().rename(source_file_names, destination_file_names)

    def delete(self, paths):
        for path in map(self.place, paths):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
