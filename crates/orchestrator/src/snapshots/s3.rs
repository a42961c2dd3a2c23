//! A store in a bucket of Amazon S3 or of whatever speaks its protocol.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::prefix::PrefixStore;
use object_store::{ClientConfigKey, RetryConfig};

use super::{Retention, SnapshotStore};

/// How long one request may take; a part of an archive has 5 MiB.
const REQUEST: &str = "60 seconds";

/// How long a connection may take.
const CONNECT: &str = "5 seconds";

/// How long a request that fails for a passing reason is tried again.
const RETRY: Duration = Duration::from_secs(20);

/// A bucket, and perhaps a folder in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// What every name in it begins with, without slashes around.
    pub prefix: String,
}

/// Why a text is no bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "is no bucket; write s3://BUCKET or s3://BUCKET/FOLDER, with credentials in the environment"
)]
pub struct BucketError;

impl FromStr for Bucket {
    type Err = BucketError;

    /// `s3://BUCKET` or `s3://BUCKET/FOLDER`.
    fn from_str(text: &str) -> Result<Self, BucketError> {
        let rest = text.strip_prefix("s3://").ok_or(BucketError)?;
        let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        // Names of buckets: 3 to 63 letters, digits, dots and hyphens.
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c);
        let prefix = prefix.trim_matches('/');
        let odd = |c: char| c.is_control() || c.is_whitespace() || "?#@".contains(c);
        if !(3..=63).contains(&name.len()) || !name.chars().all(plain) || prefix.contains(odd) {
            return Err(BucketError);
        }
        Ok(Self { name: name.to_owned(), prefix: prefix.to_owned() })
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix.as_str() {
            "" => write!(f, "s3://{}", self.name),
            prefix => write!(f, "s3://{}/{prefix}", self.name),
        }
    }
}

/// What cannot be used of the environment, as text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct S3Error(String);

impl SnapshotStore {
    /// A bucket. Credentials, region and endpoint are those of the process's environment, under the
    /// usual names: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`,
    /// `AWS_ENDPOINT_URL`, the web identity of a pod, or the role of a machine. An endpoint of
    /// `http://` is taken only with `AWS_ALLOW_HTTP=true`. Asks nobody anything yet.
    ///
    /// # Errors
    /// When the environment makes no sense.
    pub fn s3(bucket: &Bucket, node: &str, retention: Retention) -> Result<Self, S3Error> {
        // Whoever was first has chosen; there is one in this program.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = AmazonS3ConfigKey::Client;
        let built = AmazonS3Builder::from_env()
            .with_bucket_name(&bucket.name)
            // One by one: they go beside what the environment says.
            .with_config(client(ClientConfigKey::Timeout), REQUEST)
            .with_config(client(ClientConfigKey::ConnectTimeout), CONNECT)
            .with_retry(RetryConfig { retry_timeout: RETRY, ..RetryConfig::default() })
            .build();
        let objects = built.map_err(|error| S3Error(error.to_string()))?;
        let objects = PrefixStore::new(objects, bucket.prefix.as_str());
        Ok(Self::on(Arc::new(objects), node, retention))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_read_and_shown() {
        for text in ["s3://snapshots", "s3://snapshots/of/this-site", "s3://a.b-c"] {
            assert_eq!(text.parse::<Bucket>().unwrap().to_string(), text);
        }
        assert_eq!("s3://abc/x/".parse::<Bucket>().unwrap().prefix, "x");
        for text in [
            "s3://",
            "s3://ab",
            "S3://abc",
            "s3://Abc",
            "s3://key:secret@abc",
            "s3://abc/a b",
            "/abc",
        ] {
            assert_eq!(text.parse::<Bucket>(), Err(BucketError), "{text}");
        }
    }
}
