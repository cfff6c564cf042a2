//! A vault whose answers wait until a test lets them go.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kluis_keys::StudyKey;
use kluis_vault::{
    Candidate, Examined, Location, ObjectReader, ObjectWriter, Position, RecordHeader, RecordKind, Recovery,
    SealedObject, Survey, Vault, VaultError, VaultStats,
};
use tokio::sync::Semaphore;

/// What is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The answer to a commit of such a record, which is durable by then.
    Committed(RecordKind),
    /// A scan, before it is done.
    Scan,
}

/// One call that is held, the next of its kind.
pub struct Gate {
    step: Step,
    reached: Semaphore,
    go: Semaphore,
}

impl Gate {
    /// Waits until the call has come so far.
    pub async fn reached(&self) {
        self.reached.acquire().await.unwrap().forget();
    }

    pub fn open(&self) {
        self.go.add_permits(1);
    }

    /// The call fails, as if the answer had been lost.
    pub fn lose(&self) {
        self.go.close();
    }
}

pub struct GatedVault {
    vault: Box<dyn Vault>,
    gates: Mutex<Vec<Arc<Gate>>>,
}

impl GatedVault {
    pub fn new(vault: impl Vault + 'static) -> Arc<Self> {
        Arc::new(Self { vault: Box::new(vault), gates: Mutex::default() })
    }

    /// Holds the next call of this kind that no other gate holds.
    pub fn gate(&self, step: Step) -> Arc<Gate> {
        let gate = Arc::new(Gate { step, reached: Semaphore::new(0), go: Semaphore::new(0) });
        self.gates.lock().unwrap().push(Arc::clone(&gate));
        gate
    }

    async fn pass(&self, step: Step) -> Result<(), VaultError> {
        let gate = {
            let mut gates = self.gates.lock().unwrap();
            let found = gates.iter().position(|gate| gate.step == step);
            found.map(|at| gates.remove(at))
        };
        let Some(gate) = gate else { return Ok(()) };
        gate.reached.add_permits(1);
        gate.go.acquire().await.map(|permit| permit.forget()).map_err(|_| VaultError::Closed)
    }
}

#[async_trait]
impl Vault for GatedVault {
    fn begin(&self, kind: RecordKind) -> ObjectWriter {
        self.vault.begin(kind)
    }

    async fn commit(&self, objects: Vec<SealedObject>) -> Result<Vec<Location>, VaultError> {
        let kind = objects[0].header().kind;
        let locations = self.vault.commit(objects).await?;
        self.pass(Step::Committed(kind)).await?;
        Ok(locations)
    }

    async fn open(&self, location: Location, key: &StudyKey) -> Result<ObjectReader, VaultError> {
        self.vault.open(location, key).await
    }

    async fn inspect(&self, location: Location) -> Result<RecordHeader, VaultError> {
        self.vault.inspect(location).await
    }

    async fn check(&self, location: Location) -> Result<RecordHeader, VaultError> {
        self.vault.check(location).await
    }

    async fn scan(&self, after: Position, limit: u32) -> Result<Vec<(Location, RecordHeader)>, VaultError> {
        self.pass(Step::Scan).await?;
        self.vault.scan(after, limit).await
    }

    async fn survey(&self, after: Position, limit: u32) -> Result<Survey, VaultError> {
        self.pass(Step::Scan).await?;
        self.vault.survey(after, limit).await
    }

    async fn examine(
        &self,
        candidates: Vec<Candidate>,
        is_full: bool,
    ) -> Result<Vec<Result<Examined, VaultError>>, VaultError> {
        self.vault.examine(candidates, is_full).await
    }

    async fn position(&self) -> Result<Position, VaultError> {
        self.vault.position().await
    }

    async fn recover(&self, safe: Position) -> Result<Recovery, VaultError> {
        self.vault.recover(safe).await
    }

    fn stats(&self) -> VaultStats {
        self.vault.stats()
    }
}
