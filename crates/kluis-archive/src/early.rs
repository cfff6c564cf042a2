//! The look at what is known of an object, taken while its bytes still arrive: where the request names the SOP Instance
//! UID, as C-STORE does, nobody has to wait for the answer behind the last byte.

use std::sync::Arc;

use kluis_dicom::Uid;
use kluis_index::{IndexError, Known};
use tokio::task::JoinHandle;

use crate::{
    Inner,
    arrivals::{Glance, Turn},
};

/// A look under way.
pub(crate) struct EarlyLook {
    glance: Glance,
    known: JoinHandle<Result<Vec<Known>, IndexError>>,
}

impl EarlyLook {
    /// Begins it.
    pub(crate) fn begin(inner: &Arc<Inner>, sop_instance: &Uid) -> Self {
        let glance = inner.arrivals.glance(sop_instance);
        let (inner, uid) = (Arc::clone(inner), sop_instance.clone());
        Self { glance, known: tokio::spawn(async move { inner.index.known(std::slice::from_ref(&uid)).await }) }
    }

    /// What was seen. `None` where that is not enough, or holds no longer: then it must be looked again.
    pub(crate) async fn seen(mut self, turn: &Turn) -> Option<Known> {
        let known = (&mut self.known).await.ok()?.ok()?.into_iter().next()?;
        let is_lasting = match known {
            Known::Unknown | Known::Hot(_) => turn.upholds(&self.glance),
            // the manifest may have been replaced
            Known::Sealed(_) => false,
        };
        is_lasting.then_some(known)
    }
}

impl Drop for EarlyLook {
    fn drop(&mut self) {
        // a look that nobody waits for any more does not keep the archive open
        self.known.abort();
    }
}
