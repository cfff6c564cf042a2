//! `tenant.json`: the tenant's secret and key versions, wrapped under the root key.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Serialize};

use crate::{
    KeysError, ObjectId,
    crypto::{self, Secret, Wrapper},
    files, limits,
};

const FILE: &str = "tenant.json";
const FORMAT: u32 = 1;
/// The tenant secret's place among the versions, so that neither can stand in for the other.
const SECRET_VERSION: u32 = 0;
const FIRST_VERSION: u32 = 1;

/// The tenant's keys, open.
pub(crate) struct Tenant {
    /// Random; part of what every wrapped key is bound to.
    pub(crate) id: [u8; 16],
    /// Ids and derived keys come from it, so it stays when the versions rotate.
    pub(crate) secret: Secret,
    /// The version that wraps new keys.
    pub(crate) current: u32,
    /// Every version that something may still be wrapped under.
    pub(crate) versions: BTreeMap<u32, Secret>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TenantFile {
    format: u32,
    tenant: ObjectId,
    secret: String,
    current: u32,
    versions: BTreeMap<u32, String>,
}

impl Tenant {
    /// The file that tells whether there is a key ring.
    pub(crate) fn path(keys_dir: &Path) -> PathBuf {
        keys_dir.join(FILE)
    }

    /// Makes a tenant with key version 1 and writes it.
    pub(crate) fn create(keys_dir: &Path, root: &Secret) -> Result<Self, KeysError> {
        let tenant = Self {
            id: crypto::random(),
            secret: crypto::random_secret(),
            current: FIRST_VERSION,
            versions: BTreeMap::from([(FIRST_VERSION, crypto::random_secret())]),
        };
        tenant.write(&Self::path(keys_dir), root)?;
        Ok(tenant)
    }

    /// Reads and unwraps.
    pub(crate) fn open(keys_dir: &Path, root: &Secret) -> Result<Self, KeysError> {
        let path = Self::path(keys_dir);
        let bytes = files::read(&path)?.ok_or_else(|| KeysError::FileMissing { path: path.clone() })?;
        let damaged = |what| KeysError::Damaged { path: path.clone(), what };
        let file: TenantFile = serde_json::from_slice(&bytes).map_err(|_| damaged("not a tenant file"))?;
        if file.format != FORMAT {
            return Err(damaged("of an unknown format"));
        }
        if file.versions.len() > limits::TENANT_VERSIONS || !file.versions.contains_key(&file.current) {
            return Err(damaged("its key versions do not hold together"));
        }
        let wrapper = root_wrapper(root)?;
        let id = file.tenant.0;
        let unwrap = |version, text: &str| {
            let wrapped = BASE64.decode(text).map_err(|_| damaged("a wrapped key is not base64"))?;
            wrapper
                .unwrap(&associated(&id, version), &wrapped)
                .ok_or_else(|| KeysError::WrongRootKey { path: path.clone() })
        };
        let secret = unwrap(SECRET_VERSION, &file.secret)?;
        let versions = file.versions.iter().map(|(version, text)| Ok((*version, unwrap(*version, text)?)));
        let versions = versions.collect::<Result<_, KeysError>>()?;
        Ok(Self { id, secret, current: file.current, versions })
    }

    fn write(&self, path: &Path, root: &Secret) -> Result<(), KeysError> {
        let wrapper = root_wrapper(root)?;
        let wrap = |version, key: &Secret| {
            let wrapped = wrapper.wrap(&associated(&self.id, version), key);
            wrapped.map(|bytes| BASE64.encode(bytes)).ok_or(KeysError::Crypto { operation: "wrap" })
        };
        let versions = self.versions.iter().map(|(version, key)| Ok((*version, wrap(*version, key)?)));
        let file = TenantFile {
            format: FORMAT,
            tenant: ObjectId(self.id),
            secret: wrap(SECRET_VERSION, &self.secret)?,
            current: self.current,
            versions: versions.collect::<Result<_, KeysError>>()?,
        };
        let text =
            serde_json::to_vec_pretty(&file).map_err(|_| KeysError::Crypto { operation: "encode tenant.json" })?;
        files::write(path, &text)
    }
}

fn root_wrapper(root: &Secret) -> Result<Wrapper, KeysError> {
    Wrapper::new(&crypto::subkey(root, &[b"root/tenant/1"])).ok_or(KeysError::Crypto { operation: "key set-up" })
}

fn associated(tenant: &[u8; 16], version: u32) -> Vec<u8> {
    [b"kluis/tenant/1".as_slice(), tenant, &version.to_be_bytes()].concat()
}
