//! Pure: what is known of a snapshot, as its manifest has it. Moments are Unix milliseconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::SnapshotId;
use super::archive::Sealed;
use crate::driver::Flavour;

/// The form of manifests; one of another form is refused, not guessed at.
const FORM: u32 = 1;

/// The largest manifest that is read, in bytes: a sandbox has at most 64 labels of some 320 bytes.
pub(super) const LARGEST: u64 = 256 << 10;

/// What a snapshot was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The sandbox.
    pub sandbox: String,
    /// Its execution.
    pub execution: String,
    /// Its incarnation until then.
    pub lifecycle: String,
    /// Its template.
    pub template: String,
    /// Its browser family: a profile of one means little to the other.
    pub flavour: Flavour,
    /// `Browser.getVersion`'s product of the browser that wrote the profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser: Option<String>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The node that made it.
    pub node: String,
}

/// A snapshot that can be restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    form: u32,
    id: String,
    /// When it was durable.
    pub created_at_ms: u64,
    /// What it was made of.
    pub about: About,
    /// Where the archive stands in the store.
    pub(super) archive: String,
    /// Bytes of the archive.
    pub bytes: u64,
    /// SHA-256 of the archive, in hexadecimal digits.
    pub sha256: String,
    /// Bytes of the archive before it was compressed: never more are unpacked.
    pub unpacked: u64,
}

impl Manifest {
    /// A snapshot whose archive stands in the store.
    pub(super) fn new(
        id: &SnapshotId,
        created_at_ms: u64,
        about: About,
        (archive, sealed): (String, Sealed),
    ) -> Self {
        let Sealed { bytes, sha256, unpacked } = sealed;
        let id = id.to_string();
        Self { form: FORM, id, created_at_ms, about, archive, bytes, sha256, unpacked }
    }

    /// Its name.
    ///
    /// # Panics
    /// Never: one that cannot be a name was refused when it was read.
    pub fn id(&self) -> SnapshotId {
        self.id.parse().expect("a manifest has the id that it was read or made by")
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        // Strings and numbers: nothing here can fail.
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    /// Reads the manifest of the snapshot `id`.
    ///
    /// # Errors
    /// What is wrong with it, without its place.
    pub(super) fn from_json(id: &SnapshotId, bytes: &[u8]) -> Result<Self, String> {
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if manifest.form != FORM {
            return Err(format!("its form is {}, this version reads form {FORM}", manifest.form));
        }
        if manifest.id != id.as_str() {
            return Err("it is of another snapshot".to_owned());
        }
        let digits = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        if !digits(&manifest.sha256) {
            return Err("its hash is none".to_owned());
        }
        let file = manifest.archive.strip_prefix("archives/").and_then(|path| path.split_once('/'));
        if file.is_none_or(|(_, file)| file != format!("{id}.tar.zst")) {
            return Err("its archive is not one of its own".to_owned());
        }
        Ok(manifest)
    }

    /// Whether a browser of this product may run on the profile.
    ///
    /// # Errors
    /// A sentence for a person, when a newer browser wrote it: browsers read older profiles only.
    pub fn fits(&self, product: &str) -> Result<(), String> {
        let written = self.about.browser.as_deref();
        match (written.and_then(major), major(product)) {
            (Some(wrote), Some(reads)) if wrote > reads => Err(format!(
                "the snapshot was written by a browser of version {wrote}, and this node has \
                 version {reads}; use a node with {wrote} or newer"
            )),
            _ => Ok(()),
        }
    }
}

/// The first number of a product such as `HeadlessChrome/156.0.8078.79`.
pub fn major(product: &str) -> Option<u32> {
    let version = product.rsplit_once('/').map_or(product, |(_, version)| version);
    version.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests;
