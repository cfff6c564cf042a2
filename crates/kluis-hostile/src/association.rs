//! Associations (PS3.8 9.2, PS3.7 9): the state machine under any events, and a whole association over any bytes.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use kluis_dicom::Uid;
use kluis_dimse::{
    Admission, AssociationRequest, Body, EchoRequest, FindRequest, GetRequest, Match, Matches, MoveRequest,
    NormalizedRequest, NormalizedResponse, Object, Objects, Outcome, Refusal, Services, StoreRequest, StoreSink,
    Transfer, Transferred, Unreadable,
    association::{Acceptor, Action, Event, Machine, Role, State, negotiate},
    command::{CommandField, Counts, Status},
    driver::{Config, Ending, How, serve},
    limits::{self, Timing},
    pdu::{self, AssociateRq, ContextResult, Pdu, PduError, PduLimits, ProposedContext, UserInformation},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex, split},
    runtime::Runtime,
    sync::watch,
    time::Instant,
};

use crate::{
    input::{Input, slices},
    pdu::{Arrived, read_all},
};

/// Verification, and every storage class.
pub(crate) const VERIFICATION: &str = "1.2.840.10008.1.1";
/// CT Image Storage.
pub(crate) const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
/// Implicit VR Little Endian.
pub(crate) const IMPLICIT: &str = "1.2.840.10008.1.2";

/// `flags (1) | seed of the slices (4) | number of events (1) | events | stream`. With the first flag the stream comes
/// behind an association request that is in order.
pub fn association(data: &[u8]) {
    let mut input = Input(data);
    let (flags, seed) = (input.byte(), input.long());
    let count = usize::from(input.byte());
    let role = if flags & 2 == 0 { Role::Acceptor } else { Role::Requestor };
    machine(role, input.take(count));
    let mut stream = Vec::new();
    if flags & 1 == 1 {
        let _ = pdu::write(&Pdu::AssociateRq(Box::new(request())), &mut stream);
    }
    stream.extend_from_slice(input.0);
    let Some(whole) = served(&[&stream]) else { return };
    let Some(sliced) = served(&slices(seed, &stream)) else { return };
    well_behaved(&whole, stream.len());
    well_behaved(&sliced, stream.len());
    assert_eq!(whole.stored, sliced.stored, "slices store something else");
    // the reason of an abort may say which of two wrong lengths was seen; all else is the same
    if !matches!(whole.ending.how, How::Violation(_)) {
        assert_eq!(whole.ending, sliced.ending);
        assert_eq!(whole.replies, sliced.replies, "slices are answered otherwise");
    }
    assert_eq!(whole.ending.messages, sliced.ending.messages);
}

/// Events move the machine as the table of the standard says; what that means, told again from the outside.
fn machine(role: Role, events: &[u8]) {
    let mut machine = Machine::new(role);
    let (mut was_asked, mut was_answered) = (false, false);
    for byte in events {
        let before = machine.state();
        let Some(event) = Event::ALL.get(usize::from(*byte) % Event::ALL.len()).copied() else { continue };
        let action = machine.on(event);
        let after = machine.state();
        let Some(action) = action else {
            assert_eq!(before, after, "nothing is to be done, and yet the state changes");
            continue;
        };
        was_asked |= matches!(action, Action::Ae6 | Action::Ae2);
        was_answered |= matches!(action, Action::Ae7 | Action::Ae3);
        if matches!(action, Action::Dt1 | Action::Dt2 | Action::Ar1 | Action::Ar2 | Action::Ar6 | Action::Ar7) {
            assert!(was_asked && was_answered, "data or release without an association");
        }
        if matches!(action, Action::Aa1 | Action::Aa7 | Action::Aa8) {
            assert_eq!(after, State::AwaitingClose, "an abort that goes on");
        }
        if event == Event::TransportClosed || event == Event::Abort {
            assert!(after == State::Idle, "the peer is gone, and the state is {after:?}");
        }
        if after == State::Idle {
            (was_asked, was_answered) = (false, false);
        }
    }
}

/// One data set: of which instance, its bytes, and whether its end was seen.
type Taken = (Uid, Vec<u8>, bool);

/// What one association came to.
#[derive(Debug)]
struct Served {
    ending: Ending,
    stored: Vec<Taken>,
    replies: Vec<u8>,
}

thread_local! {
    static RUNTIME: Option<Runtime> = tokio::runtime::Builder::new_current_thread().enable_time().build().ok();
}

fn served(slices: &[&[u8]]) -> Option<Served> {
    RUNTIME.with(|runtime| Some(runtime.as_ref()?.block_on(serve_all(slices))))
}

async fn serve_all(slices: &[&[u8]]) -> Served {
    let (ours, theirs) = duplex(64 * 1024);
    let (_stop, stopping) = watch::channel(false);
    let mut services = Memory::default();
    let config = config();
    let (mut from_us, mut to_us) = split(theirs);
    let sending = async move {
        for slice in slices {
            if to_us.write_all(slice).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let _ = to_us.shutdown().await;
    };
    let receiving = async move {
        let mut replies = Vec::new();
        let _ = from_us.read_to_end(&mut replies).await;
        replies
    };
    let (ending, (), replies) =
        tokio::join!(serve(ours, &mut services, &config, Instant::now(), stopping), sending, receiving);
    let stored = std::mem::take(&mut *services.stored.lock().unwrap_or_else(PoisonError::into_inner));
    Served { ending, stored, replies }
}

fn well_behaved(served: &Served, length: usize) {
    let kept: usize = served.stored.iter().map(|(_, bytes, _)| bytes.len()).sum();
    assert!(kept <= length, "more was stored than came in");
    let (replies, end) = read_all(&[&served.replies]);
    assert_eq!(end, Ok(false), "what we say is no whole PDU");
    let mut answers = 0;
    for (place, reply) in replies.iter().enumerate() {
        let is_last = place + 1 == replies.len();
        match reply {
            Arrived::Pdu(Pdu::AssociateAc(_)) => assert_eq!(place, 0, "accepted, but not first"),
            Arrived::Pdu(Pdu::AssociateRj(_)) => {
                assert!(place == 0 && replies.len() <= 2, "something follows a rejection")
            }
            Arrived::Pdu(Pdu::Abort(_) | Pdu::ReleaseRp) => assert!(is_last, "something follows an end"),
            Arrived::Pdu(Pdu::ReleaseRq | Pdu::AssociateRq(_) | Pdu::Data(_)) => {
                assert_eq!(place, usize::MAX, "an acceptor says {reply:?}");
            }
            Arrived::Data => {}
            Arrived::Fragment { is_command, is_end, .. } => {
                assert!(*is_command, "an answer with a data set");
                answers += u64::from(*is_end);
            }
        }
    }
    assert_eq!(answers, served.ending.messages, "as many answers as messages");
    let finished = served.stored.iter().filter(|(_, _, is_whole)| *is_whole).count() as u64;
    assert!(finished <= answers, "stored without an answer");
    assert!(answers as usize <= length / 12 + 1, "more answers than a stream of {length} can ask for");
}

/// Keeps what it gets.
#[derive(Debug, Clone, Default)]
struct Memory {
    stored: Arc<Mutex<Vec<Taken>>>,
}

struct Sink {
    memory: Memory,
    sop_instance: Uid,
    bytes: Vec<u8>,
    is_whole: bool,
}

/// What is never given: how many matches leave before a C-CANCEL is heard depends on when that comes.
enum NoMatches {}

impl Matches for NoMatches {
    async fn next(&mut self) -> Result<Option<Match>, Outcome> {
        match *self {}
    }
}

/// The same for objects.
enum NoObjects {}

impl Objects for NoObjects {
    type Body = NoBody;

    fn remaining(&self) -> usize {
        match *self {}
    }

    async fn next(&mut self) -> Result<Option<Object<NoBody>>, Outcome> {
        match *self {}
    }

    fn failed_list(&self, _: &[Uid]) -> Vec<u8> {
        match *self {}
    }

    fn complete(self) {
        match self {}
    }
}

enum NoTransfer {}

impl Transfer for NoTransfer {
    async fn progress(&mut self) -> Option<Counts> {
        match *self {}
    }

    fn cancel(&mut self) {
        match *self {}
    }

    fn finish(self) -> Transferred {
        match self {}
    }
}

enum NoBody {}

impl Body for NoBody {
    async fn read(&mut self) -> Result<Option<Bytes>, Unreadable> {
        match *self {}
    }
}

impl Services for Memory {
    type Sink = Sink;
    type Matches = NoMatches;
    type Objects = NoObjects;
    type Transfer = NoTransfer;

    async fn admit(&mut self, _: &AssociationRequest<'_>) -> Result<Admission, Refusal> {
        Ok(Admission::default())
    }

    async fn echo(&mut self, _: EchoRequest) -> Outcome {
        Status::SUCCESS.into()
    }

    async fn store_begin(&mut self, request: StoreRequest) -> Result<Sink, Outcome> {
        if request.sop_instance.as_str().starts_with('9') {
            return Err(Status::NOT_AUTHORIZED.into());
        }
        Ok(Sink { memory: self.clone(), sop_instance: request.sop_instance, bytes: Vec::new(), is_whole: false })
    }

    async fn find(&mut self, request: FindRequest) -> Result<NoMatches, Outcome> {
        assert!(request.identifier.len() <= limits::IDENTIFIER);
        Err(Status::DATA_SET_DOES_NOT_MATCH.into())
    }

    async fn get(&mut self, request: GetRequest) -> Result<NoObjects, Outcome> {
        assert!(request.identifier.len() <= limits::IDENTIFIER);
        Err(Status::DATA_SET_DOES_NOT_MATCH.into())
    }

    async fn transfer(&mut self, request: MoveRequest) -> Result<NoTransfer, Outcome> {
        assert!(request.identifier.len() <= limits::IDENTIFIER);
        Err(Status::DESTINATION_UNKNOWN.into())
    }

    fn offers(&self, operation: CommandField, _: &Uid) -> bool {
        operation != CommandField::N_DELETE_RQ
    }

    async fn normalized(&mut self, request: NormalizedRequest) -> NormalizedResponse {
        assert!(request.data_set.as_ref().is_none_or(|data_set| data_set.len() <= limits::NORMALIZED_DATA_SET));
        assert!(request.service == request.sop_class);
        assert!(request.sop_instance.is_some() || request.operation == CommandField::N_CREATE_RQ);
        NormalizedResponse { data_set: request.data_set, ..Status::SUCCESS.into() }
    }
}

impl StoreSink for Sink {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), Outcome> {
        assert!(bytes.len() <= limits::BUFFER);
        self.bytes.extend_from_slice(bytes);
        if self.bytes.starts_with(&[0xFF, 0xFF]) { Err(Status::CANNOT_UNDERSTAND.into()) } else { Ok(()) }
    }

    async fn finish(mut self) -> Outcome {
        self.is_whole = true;
        Status::SUCCESS.into()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // how much of a broken or refused data set was handed over depends on the slices
        let bytes = if self.is_whole { std::mem::take(&mut self.bytes) } else { Vec::new() };
        let mut stored = self.memory.stored.lock().unwrap_or_else(PoisonError::into_inner);
        stored.push((self.sop_instance.clone(), bytes, self.is_whole));
    }
}

fn config() -> Config {
    Config { acceptor: acceptor(), timing: Timing::default(), pdu_limits: PduLimits::default() }
}

/// Takes verification and all storage, in every syntax that begins as those of the standard do.
pub(crate) fn acceptor() -> Acceptor {
    Acceptor {
        called: "KLUIS".parse().into_iter().collect(),
        provides: |uid| uid.as_str() == VERIFICATION || uid.as_str().starts_with("1.2.840.10008.5.1.4.1.1."),
        uses: |_| false,
        knows: |_, uid| uid.as_str().starts_with(IMPLICIT),
        implementation_class_uid: uid("2.25.1"),
        implementation_version: "KLUIS".to_owned(),
        maximum_length: limits::MAXIMUM_LENGTH,
    }
}

/// A UID that is one.
#[allow(clippy::unwrap_used, reason = "of literals only")]
pub(crate) fn uid(text: &str) -> Uid {
    text.parse().unwrap()
}

/// A request in order: verification in context 1, CT in context 3.
pub(crate) fn request() -> AssociateRq {
    let context = |id, class| ProposedContext {
        id,
        abstract_syntax: Some(uid(class)),
        transfer_syntaxes: vec![uid("1.2.840.10008.1.2.1"), uid(IMPLICIT)],
    };
    let title = |text: &str| {
        let mut field = [b' '; 16];
        field.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
        field
    };
    AssociateRq {
        protocol_version: 1,
        called_ae: title("KLUIS"),
        calling_ae: title("MODALITY"),
        reserved: [0; 32],
        application_context: Some(uid(pdu::APPLICATION_CONTEXT)),
        contexts: vec![context(1, VERIFICATION), context(3, CT)],
        user: UserInformation { maximum_length: Some(16_384), ..UserInformation::default() },
    }
}

/// `one A-ASSOCIATE-RQ`: the answer names every context once, accepts only what was proposed, and can be written.
pub fn negotiation(data: &[u8]) {
    let Ok((Pdu::AssociateRq(rq), _)) = pdu::read(data) else { return };
    let acceptor = acceptor();
    let Ok(negotiated) = negotiate(&acceptor, &rq) else { return };
    let reply = &negotiated.reply;
    assert!(negotiated.send_maximum <= limits::PDU_SENT);
    assert_eq!(reply.contexts.len(), rq.contexts.len());
    for (proposed, answer) in rq.contexts.iter().zip(&reply.contexts) {
        assert_eq!(proposed.id, answer.id);
        let accepted = negotiated.contexts.get(&proposed.id);
        assert_eq!(accepted.is_some(), answer.result == ContextResult::Acceptance);
        let Some(context) = accepted else { continue };
        assert_eq!(Some(&context.abstract_syntax), proposed.abstract_syntax.as_ref());
        assert!(proposed.transfer_syntaxes.contains(&context.transfer_syntax));
        assert!((acceptor.provides)(&context.abstract_syntax));
        assert!((acceptor.knows)(&context.abstract_syntax, &context.transfer_syntax));
    }
    let mut bytes = Vec::new();
    match pdu::write(&Pdu::AssociateAc(Box::new(reply.clone())), &mut bytes) {
        Ok(()) => assert!(pdu::read(&bytes).is_ok_and(|(read, taken)| {
            taken == bytes.len() && matches!(read, Pdu::AssociateAc(ac) if ac.contexts == reply.contexts)
        })),
        Err(error) => assert!(error == PduError::FieldTooLong && data.len() > 60_000),
    }
}
