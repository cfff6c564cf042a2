//! A requestor for tests that says exactly what it is told to, and services that keep what they get in memory.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::{Arc, Mutex};

use kluis_dicom::{Phi, Tag, Uid};
use kluis_dimse::{
    Admission, AssociationRequest, Body, EchoRequest, FindRequest, GetRequest, Match, Matches, MoveRequest,
    NormalizedRequest, NormalizedResponse, Object, Objects, Outcome, Refusal, Services, StoreRequest, StoreSink,
    Transfer, Transferred, Unreadable,
    association::Acceptor,
    command::{CommandField, CommandSet, Counts, Status, element},
    driver::Config,
    limits::{self, Timing},
    pdu::{self, AssociateAc, AssociateRq, Pdu, PduError, PduLimits, Pdv, ProposedContext, UserInformation},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::Notify,
};

pub const VERIFICATION: &str = "1.2.840.10008.1.1";
pub const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
/// Modality Performed Procedure Step.
pub const STEP: &str = "1.2.840.10008.3.1.2.3.3";
/// Unified Procedure Step, pull.
pub const PULL: &str = "1.2.840.10008.5.1.4.34.6.3";
pub const IMPLICIT: &str = "1.2.840.10008.1.2";

pub fn uid(text: &str) -> Uid {
    text.parse().unwrap()
}

pub fn config() -> Config {
    Config {
        acceptor: Acceptor {
            called: vec!["KLUIS".parse().unwrap()],
            provides: |uid| {
                uid.as_str() == VERIFICATION
                    || uid.as_str().starts_with("1.2.840.10008.5.1.4.1.")
                    || uid.as_str() == STEP
            },
            uses: |uid| uid.as_str() == CT,
            knows: |_, uid| uid.as_str().starts_with(IMPLICIT),
            implementation_class_uid: uid("1.2.826.0.1.3680043.10.1"),
            implementation_version: "KLUIS".to_owned(),
            maximum_length: limits::MAXIMUM_LENGTH,
        },
        timing: Timing::default(),
        pdu_limits: PduLimits::default(),
    }
}

/// What was stored: the request, the data set, the number of pieces in which it came.
#[derive(Debug, Clone)]
pub struct Stored {
    pub request: StoreRequest,
    pub data_set: Vec<u8>,
    pub pieces: usize,
}

#[derive(Default, Clone)]
pub struct Memory {
    pub stored: Arc<Mutex<Vec<Stored>>>,
    pub dropped: Arc<Mutex<u32>>,
    pub refusal: Option<Refusal>,
    pub identity_response: Option<Vec<u8>>,
    /// A data set that begins with such bytes is refused as soon as they are seen.
    pub refused_prefix: Option<&'static [u8]>,
    pub discards: bool,
    /// Behind so many matches of a C-FIND nothing comes any more.
    pub stalls_at: Option<usize>,
    pub unsent: Vec<usize>,
    pub broken: Option<(usize, usize)>,
    pub completed: Arc<Mutex<usize>>,
    /// Steps of a C-MOVE.
    pub step: Arc<Notify>,
    pub cancelled: Arc<Notify>,
    pub normalized: Arc<Mutex<Vec<NormalizedRequest>>>,
}

pub struct MemorySink {
    stored: Option<Stored>,
    memory: Memory,
}

/// So many matches as the identifier says with its first number, in text; then what the memory has as the end.
pub struct Numbers {
    next: usize,
    count: usize,
    /// Behind so many matches it waits for ever.
    stalls_at: Option<usize>,
}

impl Matches for Numbers {
    async fn next(&mut self) -> Result<Option<Match>, Outcome> {
        if self.stalls_at == Some(self.next) {
            std::future::pending::<()>().await;
        }
        if self.next == self.count {
            return Ok(None);
        }
        self.next += 1;
        let identifier = Phi(format!("match {}", self.next).into_bytes());
        Ok(Some(Match { status: Status::PENDING, identifier }))
    }
}

/// So many CT images as the identifier says with its number; the memory's `unsent` cannot be sent, and of its
/// `broken` a piece cannot be read.
pub struct Images {
    next: usize,
    count: usize,
    memory: Memory,
    transfer_syntax: Uid,
}

/// Three pieces; see [`piece`].
pub struct Pieces {
    image: usize,
    next: usize,
    breaks_at: Option<usize>,
}

/// Piece 0 to 2 of an image: many fragments, one, and one byte.
pub fn piece(image: usize, number: usize) -> Vec<u8> {
    vec![(image + number) as u8; [700_000, 1_000, 1][number]]
}

impl Objects for Images {
    type Body = Pieces;

    fn remaining(&self) -> usize {
        self.count - self.next
    }

    async fn next(&mut self) -> Result<Option<Object<Pieces>>, Outcome> {
        if self.memory.stalls_at == Some(self.next) {
            std::future::pending::<()>().await;
        }
        if self.next == self.count {
            return Ok(None);
        }
        self.next += 1;
        let image = self.next;
        let breaks_at = self.memory.broken.filter(|(broken, _)| *broken == image).map(|(_, piece)| piece);
        let pieces = Pieces { image, next: 0, breaks_at };
        let is_sent = !self.memory.unsent.contains(&image);
        Ok(Some(Object {
            sop_class: uid(CT),
            sop_instance: uid(&format!("1.2.{image}")),
            content: is_sent.then_some((self.transfer_syntax.clone(), pieces)),
        }))
    }

    fn failed_list(&self, failed: &[Uid]) -> Vec<u8> {
        failed.iter().map(Uid::as_str).collect::<Vec<_>>().join("\\").into_bytes()
    }

    fn complete(self) {
        *self.memory.completed.lock().unwrap() += 1;
    }
}

impl Body for Pieces {
    async fn read(&mut self) -> Result<Option<bytes::Bytes>, Unreadable> {
        if self.next == 3 {
            return Ok(None);
        }
        if self.breaks_at == Some(self.next) {
            return Err(Unreadable);
        }
        self.next += 1;
        Ok(Some(piece(self.image, self.next - 1).into()))
    }
}

impl Services for Memory {
    type Sink = MemorySink;
    type Matches = Numbers;
    type Objects = Images;
    type Transfer = Steps;

    async fn admit(&mut self, _: &AssociationRequest<'_>) -> Result<Admission, Refusal> {
        match self.refusal {
            Some(refusal) => Err(refusal),
            None => Ok(Admission { identity_response: self.identity_response.clone(), ..Admission::default() }),
        }
    }

    async fn echo(&mut self, _: EchoRequest) -> Outcome {
        Status::SUCCESS.into()
    }

    async fn store_begin(&mut self, request: StoreRequest) -> Result<MemorySink, Outcome> {
        if request.sop_instance.as_str() == "9.9.9" {
            return Err(Status::NOT_AUTHORIZED.into());
        }
        Ok(MemorySink { stored: Some(Stored { request, data_set: Vec::new(), pieces: 0 }), memory: self.clone() })
    }

    async fn find(&mut self, request: FindRequest) -> Result<Numbers, Outcome> {
        let asked = std::str::from_utf8(&request.identifier).ok().and_then(|text| text.trim().parse().ok());
        let count = asked.ok_or(Outcome { status: Status::DATA_SET_DOES_NOT_MATCH, comment: None })?;
        Ok(Numbers { next: 0, count, stalls_at: self.stalls_at })
    }

    async fn transfer(&mut self, request: MoveRequest) -> Result<Steps, Outcome> {
        let asked = std::str::from_utf8(&request.identifier).ok().and_then(|text| text.trim().parse().ok());
        let remaining = asked.ok_or(Outcome { status: Status::DATA_SET_DOES_NOT_MATCH, comment: None })?;
        if request.destination.is_none_or(|destination| destination.as_str() != "WORKSTATION") {
            return Err(Status::DESTINATION_UNKNOWN.into());
        }
        let counts = Counts { remaining, ..Counts::default() };
        let (step, cancelled) = (Arc::clone(&self.step), Arc::clone(&self.cancelled));
        Ok(Steps { counts, cancelled, is_cancelled: false, step })
    }

    async fn get(&mut self, request: GetRequest) -> Result<Images, Outcome> {
        let asked = std::str::from_utf8(&request.identifier).ok().and_then(|text| text.trim().parse().ok());
        let count = asked.ok_or(Outcome { status: Status::DATA_SET_DOES_NOT_MATCH, comment: None })?;
        assert!(request.taken.iter().all(|context| context.we_may_use));
        Ok(Images { next: 0, count, memory: self.clone(), transfer_syntax: uid(IMPLICIT) })
    }

    /// All but N-DELETE, about steps only; in their contexts also about [`PULL`].
    fn offers(&self, operation: CommandField, service: &Uid) -> bool {
        service.as_str() == STEP && operation != CommandField::N_DELETE_RQ
    }

    fn covers(&self, service: &Uid, sop_class: &Uid) -> bool {
        service == sop_class || sop_class.as_str() == PULL
    }

    /// Keeps the request. An N-SET fails with everything that a failure can say; an N-CREATE names what it made; an N-GET
    /// gives much, an N-ACTION echoes its arguments, and an N-EVENT-REPORT gives an empty data set.
    async fn normalized(&mut self, request: NormalizedRequest) -> NormalizedResponse {
        let mut response = NormalizedResponse::from(Status::SUCCESS);
        match request.operation {
            CommandField::N_SET_RQ => {
                let comment = Some("may no longer be updated".into());
                response.outcome = Outcome { status: Status::PROCESSING_FAILURE, comment };
                response.error_id = Some(0xA710);
                response.offending = vec![Tag(0x0040, 0x0252), Tag(0x0010, 0x0010)];
            }
            CommandField::N_CREATE_RQ => response.sop_instance = Some(uid("1.2.99")),
            CommandField::N_GET_RQ => response.data_set = Some(Phi(vec![7; 100_000])),
            CommandField::N_ACTION_RQ => response.data_set = request.data_set.clone(),
            _ => response.data_set = Some(Phi(Vec::new())),
        }
        self.normalized.lock().unwrap().push(request);
        response
    }
}

/// A C-MOVE of so many objects as the identifier says with its number. A step is taken whenever the test says so.
pub struct Steps {
    counts: Counts,
    cancelled: Arc<Notify>,
    is_cancelled: bool,
    step: Arc<Notify>,
}

impl Transfer for Steps {
    async fn progress(&mut self) -> Option<Counts> {
        if self.counts.remaining == 0 || self.is_cancelled {
            return None;
        }
        self.step.notified().await;
        self.counts.remaining -= 1;
        // the second one fails
        match self.counts.completed {
            1 if self.counts.failed == 0 => self.counts.failed = 1,
            _ => self.counts.completed += 1,
        }
        Some(self.counts)
    }

    fn cancel(&mut self) {
        self.is_cancelled = true;
        self.cancelled.notify_one();
    }

    fn finish(self) -> Transferred {
        let failed_list = if self.counts.failed > 0 { b"1.2.2".to_vec() } else { Vec::new() };
        Transferred { counts: self.counts, failed_list, outcome: None }
    }
}

impl StoreSink for MemorySink {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), Outcome> {
        let stored = self.stored.as_mut().unwrap();
        stored.pieces += 1;
        if self.memory.discards {
            return Ok(());
        }
        stored.data_set.extend_from_slice(bytes);
        match self.memory.refused_prefix {
            Some(prefix) if stored.data_set.starts_with(prefix) => {
                Err(Outcome { status: Status::CANNOT_UNDERSTAND, comment: Some("refused prefix".into()) })
            }
            _ => Ok(()),
        }
    }

    async fn finish(mut self) -> Outcome {
        let stored = self.stored.take().unwrap();
        if !self.memory.discards {
            self.memory.stored.lock().unwrap().push(stored);
        }
        Status::SUCCESS.into()
    }
}

impl Drop for MemorySink {
    fn drop(&mut self) {
        if self.stored.is_some() {
            *self.memory.dropped.lock().unwrap() += 1;
        }
    }
}

pub fn context(id: u8, abstract_syntax: &str, transfer_syntax: &str) -> ProposedContext {
    ProposedContext { id, abstract_syntax: Some(uid(abstract_syntax)), transfer_syntaxes: vec![uid(transfer_syntax)] }
}

pub fn ae(title: &str) -> [u8; 16] {
    let mut field = [b' '; 16];
    field[..title.len()].copy_from_slice(title.as_bytes());
    field
}

/// Verification in context 1, CT in context 3.
pub fn request() -> AssociateRq {
    AssociateRq {
        protocol_version: 1,
        called_ae: ae("KLUIS"),
        calling_ae: ae("MODALITY"),
        reserved: [0; 32],
        application_context: Some(uid(pdu::APPLICATION_CONTEXT)),
        contexts: vec![context(1, VERIFICATION, IMPLICIT), context(3, CT, IMPLICIT)],
        user: UserInformation { maximum_length: Some(16_384), ..UserInformation::default() },
    }
}

pub fn pdu_bytes(pdu: &Pdu) -> Vec<u8> {
    let mut bytes = Vec::new();
    pdu::write(pdu, &mut bytes).unwrap();
    bytes
}

pub fn data(pdvs: &[(u8, bool, bool, &[u8])]) -> Vec<u8> {
    let pdvs = pdvs
        .iter()
        .map(|(context_id, is_command, is_last, bytes)| Pdv {
            context_id: *context_id,
            is_command: *is_command,
            is_last: *is_last,
            bytes: bytes.to_vec(),
        })
        .collect();
    pdu_bytes(&Pdu::Data(pdvs))
}

pub fn command(field: CommandField, message_id: u16, sop_class: &str, has_data_set: bool) -> CommandSet {
    let mut set = CommandSet::default();
    set.set_uid(element::AFFECTED_SOP_CLASS_UID, &uid(sop_class));
    set.set_us(element::COMMAND_FIELD, field.0);
    set.set_us(element::MESSAGE_ID, message_id);
    set.set_us(element::DATA_SET_TYPE, if has_data_set { 0 } else { 0x0101 });
    set
}

pub fn echo_command(message_id: u16) -> Vec<u8> {
    set_bytes(&command(CommandField::C_ECHO_RQ, message_id, VERIFICATION, false))
}

pub fn store_command(message_id: u16, sop_instance: &str) -> Vec<u8> {
    let mut set = command(CommandField::C_STORE_RQ, message_id, CT, true);
    set.set_uid(element::AFFECTED_SOP_INSTANCE_UID, &uid(sop_instance));
    set_bytes(&set)
}

pub fn set_bytes(set: &CommandSet) -> Vec<u8> {
    let mut bytes = Vec::new();
    set.write(&mut bytes);
    bytes
}

pub struct Peer<S> {
    pub stream: S,
    received: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, received: Vec::new() }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    pub async fn send_pdu(&mut self, pdu: &Pdu) {
        self.send(&pdu_bytes(pdu)).await;
    }

    /// The next PDU; `None` where the stream has ended.
    pub async fn receive(&mut self) -> Option<Pdu> {
        loop {
            match pdu::read(&self.received) {
                Ok((pdu, taken)) => {
                    self.received.drain(..taken);
                    return Some(pdu);
                }
                Err(PduError::Truncated) => {}
                Err(error) => panic!("bad PDU from the acceptor: {error}"),
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(read) => self.received.extend_from_slice(&buffer[..read]),
            }
        }
    }

    pub async fn associate(&mut self, rq: AssociateRq) -> AssociateAc {
        self.send_pdu(&Pdu::AssociateRq(Box::new(rq))).await;
        match self.receive().await {
            Some(Pdu::AssociateAc(ac)) => *ac,
            other => panic!("no A-ASSOCIATE-AC but {other:?}"),
        }
    }

    /// A whole response command set and the longest P-DATA-TF contents that it came in.
    pub async fn receive_command(&mut self) -> (CommandSet, usize) {
        let (mut bytes, mut longest) = (Vec::new(), 0);
        loop {
            let Some(Pdu::Data(pdvs)) = self.receive().await else { panic!("no P-DATA-TF") };
            longest = longest.max(pdvs.iter().map(|pdv| pdv.bytes.len() + 6).sum());
            for pdv in pdvs {
                assert!(pdv.is_command);
                bytes.extend(pdv.bytes);
                if pdv.is_last {
                    return (CommandSet::read(&bytes).unwrap(), longest);
                }
            }
        }
    }

    pub async fn receive_status(&mut self) -> u16 {
        self.receive_command().await.0.us(element::STATUS).unwrap()
    }

    pub async fn echo(&mut self, message_id: u16) -> u16 {
        self.send(&data(&[(1, true, true, &echo_command(message_id))])).await;
        self.receive_status().await
    }

    pub async fn store(&mut self, message_id: u16, sop_instance: &str, data_set: &[u8]) -> u16 {
        self.send(&data(&[(3, true, true, &store_command(message_id, sop_instance))])).await;
        let mut pieces = data_set.chunks(16_378).peekable();
        while let Some(piece) = pieces.next() {
            self.send(&data(&[(3, false, pieces.peek().is_none(), piece)])).await;
        }
        self.receive_status().await
    }

    /// Releases and checks the answer.
    pub async fn release(mut self) {
        self.send_pdu(&Pdu::ReleaseRq).await;
        assert_eq!(self.receive().await, Some(Pdu::ReleaseRp));
    }
}
