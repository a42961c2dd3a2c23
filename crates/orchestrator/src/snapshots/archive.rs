//! The way of an archive into a store and out of it: compressed, hashed, counted, and never held
//! whole in memory. Everything here blocks and belongs on a blocking thread.

use std::io::{self, BufReader, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use object_store::buffered::BufWriter;
use sha2::{Digest, Sha256};
use tokio_util::io::{StreamReader, SyncIoBridge};
use zstd::stream::{read, write};

/// Where a driver writes a profile as a tar archive. Every write may block.
pub type ArchiveSink = Box<dyn Write + Send>;

/// Where a driver reads a profile from as a tar archive. Every read may block.
pub type ArchiveSource = Box<dyn Read + Send>;

/// The fastest level: a sandbox cannot be used while its profile is written.
const LEVEL: i32 = 1;

type Encoder = write::Encoder<'static, Hashed<SyncIoBridge<BufWriter>>>;
type Download = StreamReader<BoxStream<'static, io::Result<Bytes>>, Bytes>;
type Decoder = read::Decoder<'static, BufReader<Hashed<SyncIoBridge<Download>>>>;

/// What an archive is once it stands in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sealed {
    pub(super) bytes: u64,
    pub(super) sha256: String,
    pub(super) unpacked: u64,
}

/// An archive on its way into the store. It is not there before [`Self::finish`]; what was written
/// of one that is dropped goes.
#[derive(Clone)]
pub(super) struct Upload(Arc<Mutex<Open<Encoder>>>);

/// An archive on its way out.
#[derive(Clone)]
pub(super) struct Unpacking(Arc<Mutex<Open<Decoder>>>);

/// One end is the driver's. The other can take it away, which ends a driver that nobody waits for.
struct Open<T> {
    codec: Option<T>,
    /// Bytes that passed before they were compressed.
    plain: u64,
    /// The most that may pass.
    most: u64,
}

impl Upload {
    /// Must be called inside a runtime that goes on while the archive is written.
    pub(super) fn begin(to: BufWriter, most: u64) -> io::Result<Self> {
        let hashed = Hashed::new(SyncIoBridge::new(to), most);
        let codec = Some(write::Encoder::new(hashed, LEVEL)?);
        Ok(Self(Arc::new(Mutex::new(Open { codec, plain: 0, most: u64::MAX }))))
    }

    pub(super) fn sink(&self) -> ArchiveSink {
        Box::new(self.clone())
    }

    /// Ends what may still be writing.
    pub(super) fn cut(&self) {
        lock(&self.0).codec = None;
    }

    /// Writes what is left and makes the archive be there.
    pub(super) fn finish(&self) -> io::Result<Sealed> {
        let (codec, unpacked) = {
            let mut open = lock(&self.0);
            (open.codec.take().ok_or_else(ended)?, open.plain)
        };
        let mut hashed = codec.finish()?;
        hashed.inner.shutdown()?;
        Ok(Sealed { bytes: hashed.bytes, sha256: hashed.digest(), unpacked })
    }
}

impl Write for Upload {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let mut open = lock(&self.0);
        let written = open.codec.as_mut().ok_or_else(ended)?.write(buf)?;
        open.plain += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        // The end of the archive is what is waited for.
        Ok(())
    }
}

impl Unpacking {
    /// Reads an archive of at most `bytes`, which unpack to at most `unpacked`. Must be called inside
    /// a runtime.
    pub(super) fn begin(
        from: BoxStream<'static, io::Result<Bytes>>,
        bytes: u64,
        unpacked: u64,
    ) -> io::Result<Self> {
        let bridge = SyncIoBridge::new(StreamReader::new(from));
        let codec = read::Decoder::new(Hashed::new(bridge, bytes))?.single_frame();
        Ok(Self(Arc::new(Mutex::new(Open { codec: Some(codec), plain: 0, most: unpacked }))))
    }

    pub(super) fn source(&self) -> ArchiveSource {
        Box::new(self.clone())
    }

    /// Ends what may still be reading.
    pub(super) fn cut(&self) {
        lock(&self.0).codec = None;
    }

    /// Reads what is left and says what the archive was.
    pub(super) fn finish(&self) -> io::Result<Sealed> {
        let (codec, unpacked) = {
            let mut open = lock(&self.0);
            (open.codec.take().ok_or_else(ended)?, open.plain)
        };
        let mut rest = codec.finish();
        io::copy(&mut rest, &mut io::sink())?;
        let hashed = rest.into_inner();
        Ok(Sealed { bytes: hashed.bytes, sha256: hashed.digest(), unpacked })
    }
}

impl Read for Unpacking {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut open = lock(&self.0);
        let read = open.codec.as_mut().ok_or_else(ended)?.read(buf)?;
        open.plain += read as u64;
        match open.plain > open.most {
            true => Err(io::Error::other("the archive is larger than its manifest says")),
            false => Ok(read),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "nobody waits for this archive any more")
}

/// Counts and hashes what passes.
struct Hashed<T> {
    inner: T,
    bytes: u64,
    most: u64,
    hash: Sha256,
}

impl<T> Hashed<T> {
    fn new(inner: T, most: u64) -> Self {
        Self { inner, bytes: 0, most, hash: Sha256::new() }
    }

    fn note(&mut self, passed: &[u8]) -> io::Result<()> {
        self.bytes += passed.len() as u64;
        self.hash.update(passed);
        match self.bytes > self.most {
            true => Err(io::Error::new(io::ErrorKind::FileTooLarge, "the archive is too large")),
            false => Ok(()),
        }
    }

    fn digest(self) -> String {
        self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl<T: Write> Write for Hashed<T> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buf)?;
        self.note(&buf[..written])?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Hashed<T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.note(&buf[..read])?;
        Ok(read)
    }
}
