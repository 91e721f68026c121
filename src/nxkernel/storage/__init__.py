"""Raw first: immutable blobs by their digest, and append-only records that point to them."""

from nxkernel.storage.blobs import BlobStore, blob_digest
from nxkernel.storage.records import Record, RecordStore

__all__ = ["BlobStore", "Record", "RecordStore", "blob_digest"]
