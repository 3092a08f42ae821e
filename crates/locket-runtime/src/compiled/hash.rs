//! The hash of a file's data: xxh3 of the hashes of its chunks, so that several threads may share the work.

use std::{
    fs::File,
    hash::Hasher,
    io::{self, Read, Seek, SeekFrom},
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};

use twox_hash::XxHash3_64;

/// Bytes of a chunk; the last one may be shorter.
const CHUNK_BYTES: usize = 1 << 20;

/// Bytes that are read at a time.
const READ_BYTES: usize = 64 << 10;

/// Hash of bytes that come one after the other.
pub(super) struct Chunked {
    chunk: XxHash3_64,
    /// Bytes of the chunk so far.
    filled: usize,
    chunks: XxHash3_64,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self {
            chunk: XxHash3_64::new(),
            filled: 0,
            chunks: XxHash3_64::new(),
        }
    }

    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(CHUNK_BYTES - self.filled));
            self.chunk.write(now);
            self.filled += now.len();
            if self.filled == CHUNK_BYTES {
                self.end_chunk();
            }
            bytes = rest;
        }
    }

    fn end_chunk(&mut self) {
        let chunk = std::mem::replace(&mut self.chunk, XxHash3_64::new());
        self.chunks.write(&chunk.finish().to_le_bytes());
        self.filled = 0;
    }

    pub(super) fn digest(mut self) -> u64 {
        if self.filled > 0 {
            self.end_chunk();
        }
        self.chunks.finish()
    }
}

/// Hash of bytes that are there, by as many threads as come to [`work`](Self::work).
pub(super) struct Shared<'a> {
    data: &'a [u8],
    next: AtomicUsize,
    hashes: Vec<AtomicU64>,
}

impl<'a> Shared<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        let chunks = data.len().div_ceil(CHUNK_BYTES);
        Self {
            data,
            next: AtomicUsize::new(0),
            hashes: (0..chunks).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Hashes chunks until none is left to begin with.
    pub(super) fn work(&self) {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(hash) = self.hashes.get(index) else {
                return;
            };
            let rest = &self.data[index * CHUNK_BYTES..];
            let chunk = &rest[..rest.len().min(CHUNK_BYTES)];
            hash.store(XxHash3_64::oneshot(chunk), Ordering::Relaxed);
        }
    }

    /// The hash, once all who worked have come back.
    pub(super) fn digest(&self) -> u64 {
        let mut chunks = XxHash3_64::new();
        for hash in &self.hashes {
            chunks.write(&hash.load(Ordering::Relaxed).to_le_bytes());
        }
        chunks.finish()
    }
}

/// Hash of a file from a place on, through a small buffer: a mapping that is hashed is resident as a whole.
pub(super) fn by_reading(mut file: File, start: u64) -> io::Result<u64> {
    let mut hash = Chunked::new();
    let mut buffer = vec![0; READ_BYTES];
    file.seek(SeekFrom::Start(start))?;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hash.digest()),
            Ok(read) => hash.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CHUNK_BYTES, Chunked, Shared};

    #[test]
    fn shared_is_chunked() {
        for length in [0, 1, 100, CHUNK_BYTES - 1, CHUNK_BYTES, 2 * CHUNK_BYTES + 77] {
            let data: Vec<u8> = (0..length).map(|at| (at * 31 % 251) as u8).collect();
            let mut one = Chunked::new();
            data.chunks(70_001).for_each(|piece| one.update(piece));
            let shared = Shared::new(&data);
            std::thread::scope(|scope| {
                scope.spawn(|| shared.work());
                shared.work();
            });
            assert_eq!(one.digest(), shared.digest(), "{length}");
        }
    }
}
