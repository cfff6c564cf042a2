//! One association: the request, the messages, the end.

use std::{collections::BTreeMap, convert::Infallible, ops::Range};

use kluis_dicom::{AeTitle, Phi, Uid};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::Instant,
};

use super::{
    Config, Ending, How,
    connection::{Arrived, Connection, Patience},
    outgoing::write_pdus,
};
use crate::{
    AssociationRequest, EchoRequest, Outcome, Services, StoreRequest, StoreSink,
    association::{Context, Event, Machine, Role, State, Violation, negotiate},
    command::{CommandField, CommandSet, Message, NormalizedCommand, OtherRequest, Reply, Status, StoreCommand},
    limits,
    pdu::{self, Abort, AbortSource, AssociateRq, Pdu, abort_reason, kind},
};

pub(super) struct Session<'a, S, V: Services> {
    pub(super) connection: Connection<S>,
    pub(super) machine: Machine,
    pub(super) services: &'a mut V,
    config: &'a Config,
    calling: Option<AeTitle>,
    implementation_class_uid: Option<Uid>,
    pub(super) contexts: BTreeMap<u8, Context>,
    pub(super) send_maximum: u32,
    pub(super) under_way: UnderWay<V::Sink>,
    /// Of the last request that we sent.
    pub(super) own_message_id: u16,
    /// Of the notification that we sent and that is not answered.
    pub(super) awaited_event: Option<u16>,
    /// Of the C-MOVE whose identifier is coming in.
    pub(super) move_destination: Option<AeTitle>,
    messages: u64,
}

/// The message that is coming in.
pub(super) enum UnderWay<K> {
    Nothing,
    Command { context_id: u8, bytes: Vec<u8> },
    DataSet { context_id: u8, request: OtherRequest, receiver: Receiver<K> },
}

/// Where a data set goes.
pub(super) enum Receiver<K> {
    Sink(K),
    /// Into memory: the identifier of an operation.
    Identifier(Phi<Vec<u8>>),
    /// Into memory: attributes or arguments of a normalized service.
    Normalized(NormalizedCommand, Phi<Vec<u8>>),
    /// Nowhere; the outcome is sent when it is complete.
    Drain {
        outcome: Outcome,
        left: u64,
    },
}

impl<'a, S, V> Session<'a, S, V>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    V: Services,
{
    pub(super) fn new(stream: S, services: &'a mut V, config: &'a Config, shutdown: watch::Receiver<bool>) -> Self {
        let mut machine = Machine::new(Role::Acceptor);
        machine.on(Event::TransportIndicated);
        Self {
            connection: Connection::new(stream, config.pdu_limits, config.timing, shutdown),
            machine,
            services,
            config,
            calling: None,
            implementation_class_uid: None,
            contexts: BTreeMap::new(),
            send_maximum: limits::PDU_SENT,
            under_way: UnderWay::Nothing,
            own_message_id: 0,
            awaited_event: None,
            move_destination: None,
            messages: 0,
        }
    }

    pub(super) async fn run(mut self, opened: Instant) -> Ending {
        let how = match self.associate(opened + self.config.timing.artim).await {
            Ok(()) => match self.converse().await {
                Err(how) => how,
                Ok(never) => match never {},
            },
            Err(how) => how,
        };
        // half a data set is let go before anything is waited for
        self.under_way = UnderWay::Nothing;
        self.end(how).await;
        Ending {
            how,
            calling: self.calling,
            implementation_class_uid: self.implementation_class_uid,
            messages: self.messages,
        }
    }

    async fn associate(&mut self, until: Instant) -> Result<(), How> {
        let rq = match self.connection.next(Patience::Request(until)).await? {
            Arrived::Pdu(Pdu::AssociateRq(rq)) => rq,
            Arrived::Pdu(Pdu::Abort(abort)) => return Err(How::Aborted(abort)),
            Arrived::Pdu(pdu) => return Err(self.unexpected(kind_of(&pdu))),
            Arrived::Data | Arrived::Fragment { .. } => return Err(self.unexpected(kind::DATA_TF)),
        };
        self.machine.on(Event::AssociateRq);
        self.implementation_class_uid = rq.user.implementation_class_uid.clone();
        let reply = self.answer_request(&rq).await?;
        self.machine.on(Event::LocalAccept);
        self.send_pdu(&reply).await?;
        self.connection.established();
        Ok(())
    }

    async fn answer_request(&mut self, rq: &AssociateRq) -> Result<Pdu, How> {
        let mut negotiated = negotiate(&self.config.acceptor, rq).map_err(How::Rejected)?;
        self.calling = Some(negotiated.calling.clone());
        if negotiated.send_maximum < limits::PEER_MAXIMUM_LENGTH_MIN {
            return Err(Violation::PeerMaximumLength(negotiated.send_maximum).into());
        }
        let request = AssociationRequest {
            calling: &negotiated.calling,
            called: &negotiated.called,
            identity: rq.user.identity.as_ref(),
            implementation_class_uid: rq.user.implementation_class_uid.as_ref(),
            extended: &rq.user.extended,
        };
        let admission = self.services.admit(&request).await.map_err(|refusal| How::Rejected(refusal.reject()))?;
        let wants_response = rq.user.identity.as_ref().is_some_and(|identity| identity.is_response_requested);
        negotiated.reply.user.identity_response = admission.identity_response.filter(|_| wants_response);
        negotiated.reply.user.extended = admission.extended;
        self.contexts = negotiated.contexts;
        self.send_maximum = negotiated.send_maximum;
        Ok(Pdu::AssociateAc(Box::new(negotiated.reply)))
    }

    async fn converse(&mut self) -> Result<Infallible, How> {
        loop {
            let patience = match self.under_way {
                UnderWay::Nothing => Patience::Message,
                UnderWay::Command { .. } | UnderWay::DataSet { .. } => Patience::Rest,
            };
            match self.arrived(patience).await? {
                Arrived::Data => {
                    self.machine.on(Event::Data);
                }
                Arrived::Fragment { context_id, is_command: true, is_end, range } => {
                    self.command_fragment(context_id, is_end, range).await?;
                }
                Arrived::Fragment { context_id, is_command: false, is_end, range } => {
                    self.data_fragment(context_id, is_end, range).await?;
                }
                Arrived::Pdu(pdu) => return Err(self.ended_by(pdu)),
            }
        }
    }

    /// A PDU that is no data ends an association, rightly or not.
    pub(super) fn ended_by(&mut self, pdu: Pdu) -> How {
        match pdu {
            Pdu::ReleaseRq => {
                self.machine.on(Event::ReleaseRq);
                How::Released
            }
            Pdu::Abort(abort) => {
                self.machine.on(Event::Abort);
                How::Aborted(abort)
            }
            pdu => self.unexpected(kind_of(&pdu)),
        }
    }

    /// Takes a fragment of a command set; the set, once it is complete.
    pub(super) fn command_set(
        &mut self,
        context_id: u8,
        is_end: bool,
        range: Range<usize>,
    ) -> Result<Option<CommandSet>, How> {
        self.check_context(context_id)?;
        let fragment = self.connection.bytes(range);
        let bytes = match &mut self.under_way {
            UnderWay::DataSet { .. } => return Err(Violation::CommandWithinDataSet.into()),
            UnderWay::Command { context_id: began, .. } if *began != context_id => {
                return Err(Violation::ContextChanged { began: *began, went_on: context_id }.into());
            }
            UnderWay::Command { bytes, .. } => {
                if bytes.len().saturating_add(fragment.len()) > limits::COMMAND_SET {
                    return Err(Violation::CommandTooLong.into());
                }
                bytes.extend_from_slice(fragment);
                std::mem::take(bytes)
            }
            // one fragment is a part of one read: it is within the limit
            UnderWay::Nothing => fragment.to_vec(),
        };
        if !is_end {
            self.under_way = UnderWay::Command { context_id, bytes };
            return Ok(None);
        }
        self.under_way = UnderWay::Nothing;
        Ok(Some(CommandSet::read(&bytes).map_err(Violation::Command)?))
    }

    async fn command_fragment(&mut self, context_id: u8, is_end: bool, range: Range<usize>) -> Result<(), How> {
        let Some(set) = self.command_set(context_id, is_end, range)? else { return Ok(()) };
        match Message::read(&set).map_err(Violation::Command)? {
            Message::Echo(request) => {
                let outcome = self.services.echo(EchoRequest { message_id: request.message_id }).await;
                self.answer(context_id, request, outcome).await
            }
            Message::Store(command) => self.store(context_id, command).await,
            Message::Find(request) | Message::Get(request) => self.identified(context_id, request).await,
            Message::Move(request, destination) => {
                self.move_destination = destination;
                self.identified(context_id, request).await
            }
            // what it names has ended, and C-CANCEL has no response (PS3.7 9.3.2.3)
            Message::Cancel(_) => Ok(()),
            Message::Normalized(command) => self.normalized_begun(context_id, command).await,
            Message::Other(request) => self.answer(context_id, request, Status::UNRECOGNIZED_OPERATION.into()).await,
            Message::Response(response) => self.event_answered(response),
        }
    }

    async fn store(&mut self, context_id: u8, command: StoreCommand) -> Result<(), How> {
        let begun = match self.store_request(context_id, &command) {
            Ok(request) => self.services.store_begin(request).await,
            Err(outcome) => Err(outcome),
        };
        match begun {
            Ok(sink) => {
                let (request, receiver) = (command.request, Receiver::Sink(sink));
                self.under_way = UnderWay::DataSet { context_id, request, receiver };
                Ok(())
            }
            Err(outcome) => self.answer(context_id, command.request, outcome).await,
        }
    }

    /// What the command alone already says to be wrong.
    fn store_request(&self, context_id: u8, command: &StoreCommand) -> Result<StoreRequest, Outcome> {
        let context = self.contexts.get(&context_id).ok_or(Status::PROCESSING_FAILURE)?;
        let request = &command.request;
        let Some(sop_class) = request.sop_class.clone().filter(|class| *class == context.abstract_syntax) else {
            return Err(comment(Status::SOP_CLASS_NOT_SUPPORTED, "SOP class is not that of the presentation context"));
        };
        let Some(sop_instance) = request.sop_instance.clone() else {
            return Err(comment(Status::INVALID_SOP_INSTANCE, "Affected SOP Instance UID is missing or invalid"));
        };
        if !request.has_data_set {
            return Err(comment(Status::CANNOT_UNDERSTAND, "no data set"));
        }
        Ok(StoreRequest {
            message_id: request.message_id,
            sop_class,
            sop_instance,
            transfer_syntax: context.transfer_syntax.clone(),
            move_originator: command.move_originator.clone(),
            move_originator_message_id: command.move_originator_message_id,
        })
    }

    fn check_context(&self, context_id: u8) -> Result<(), How> {
        match self.contexts.contains_key(&context_id) {
            true => Ok(()),
            false => Err(Violation::ContextNotAccepted(context_id).into()),
        }
    }

    async fn data_fragment(&mut self, context_id: u8, is_end: bool, range: Range<usize>) -> Result<(), How> {
        self.check_context(context_id)?;
        let UnderWay::DataSet { context_id: began, receiver, .. } = &mut self.under_way else {
            return Err(Violation::DataSetWithoutCommand.into());
        };
        if *began != context_id {
            return Err(Violation::ContextChanged { began: *began, went_on: context_id }.into());
        }
        let fragment = self.connection.bytes(range);
        match receiver {
            Receiver::Sink(sink) => {
                if let Err(outcome) = sink.write(fragment).await {
                    *receiver = Receiver::Drain { outcome, left: limits::DRAINED_DATA_SET };
                }
            }
            Receiver::Identifier(identifier)
                if identifier.0.len().saturating_add(fragment.len()) <= limits::IDENTIFIER =>
            {
                identifier.0.extend_from_slice(fragment);
            }
            Receiver::Identifier(_) => {
                let outcome = comment(Status::DATA_SET_DOES_NOT_MATCH, "the identifier is too long");
                *receiver = Receiver::Drain { outcome, left: limits::DRAINED_IDENTIFIER };
            }
            Receiver::Normalized(_, data_set)
                if data_set.0.len().saturating_add(fragment.len()) <= limits::NORMALIZED_DATA_SET =>
            {
                data_set.0.extend_from_slice(fragment);
            }
            Receiver::Normalized(..) => {
                let outcome = comment(Status::RESOURCE_LIMITATION, "the data set is too long");
                *receiver = Receiver::Drain { outcome, left: limits::DRAINED_NORMALIZED };
            }
            Receiver::Drain { left, .. } => {
                let length = u64::try_from(fragment.len()).unwrap_or(u64::MAX);
                *left = left.checked_sub(length).ok_or(Violation::RefusedDataSetTooLong)?;
            }
        }
        if !is_end {
            return Ok(());
        }
        let UnderWay::DataSet { request, receiver, .. } = std::mem::replace(&mut self.under_way, UnderWay::Nothing)
        else {
            return Ok(());
        };
        let outcome = match receiver {
            Receiver::Sink(sink) => sink.finish().await,
            Receiver::Identifier(identifier) if request.field == CommandField::C_GET_RQ => {
                return self.get(context_id, request, identifier).await;
            }
            Receiver::Identifier(identifier) if request.field == CommandField::C_MOVE_RQ => {
                return self.transfer(context_id, request, identifier).await;
            }
            Receiver::Identifier(identifier) => return self.find(context_id, request, identifier).await,
            Receiver::Normalized(command, data_set) => {
                return self.normalized(context_id, command, Some(data_set)).await;
            }
            Receiver::Drain { outcome, .. } => outcome,
        };
        self.reply(context_id, request, outcome).await
    }

    /// Sends the outcome, after the data set where one follows.
    pub(super) async fn answer(&mut self, context_id: u8, request: OtherRequest, outcome: Outcome) -> Result<(), How> {
        if !request.has_data_set {
            return self.reply(context_id, request, outcome).await;
        }
        let left = match request.field {
            CommandField::C_STORE_RQ => limits::DRAINED_DATA_SET,
            field if field.is_normalized() => limits::DRAINED_NORMALIZED,
            _ => limits::DRAINED_IDENTIFIER,
        };
        self.under_way = UnderWay::DataSet { context_id, request, receiver: Receiver::Drain { outcome, left } };
        Ok(())
    }

    pub(super) async fn reply(&mut self, context_id: u8, request: OtherRequest, outcome: Outcome) -> Result<(), How> {
        let Outcome { status, comment } = outcome;
        self.last_reply(context_id, &Reply { request, status, comment, has_data_set: false, counts: None }, &[]).await
    }

    /// The response that ends an operation.
    pub(super) async fn last_reply(&mut self, context_id: u8, reply: &Reply, data_set: &[u8]) -> Result<(), How> {
        self.last_message(context_id, reply, &reply.command_set(), data_set).await
    }

    /// The same with a command set that says more than the reply.
    pub(super) async fn last_message(
        &mut self,
        context_id: u8,
        reply: &Reply,
        command_set: &CommandSet,
        data_set: &[u8],
    ) -> Result<(), How> {
        let status = reply.status;
        if status.is_failure() {
            let operation = reply.request.field.name();
            tracing::info!(operation, status = %format_args!("{:04X}H", status.0), "refused");
        }
        let (mut command, mut message) = (Vec::new(), Vec::new());
        command_set.write(&mut command);
        write_pdus(context_id, true, &command, self.send_maximum, &mut message);
        write_pdus(context_id, false, data_set, self.send_maximum, &mut message);
        self.connection.send(&message).await?;
        self.connection.message_done();
        self.messages = self.messages.saturating_add(1);
        if self.connection.is_shutting_down() { Err(How::ShutDown) } else { Ok(()) }
    }

    /// The last words of our side.
    async fn end(&mut self, how: How) {
        let (event, last, is_closing) = match how {
            How::Released => (Event::LocalReleaseReply, Some(Pdu::ReleaseRp), false),
            How::Rejected(rj) => (Event::LocalReject, Some(Pdu::AssociateRj(rj)), false),
            How::Violation(violation) => match violation.abort() {
                Some(abort) => (Event::Invalid, Some(Pdu::Abort(abort)), true),
                None => return,
            },
            How::ShutDown if self.machine.state() == State::AwaitingRequest => return,
            How::ShutDown | How::Unreadable => {
                let abort = Abort { source: AbortSource::User, reason: abort_reason::NOT_SPECIFIED };
                (Event::LocalAbort, Some(Pdu::Abort(abort)), true)
            }
            How::Aborted(_) | How::Closed | How::Io(_) => return,
        };
        self.machine.on(event);
        if let Some(pdu) = last
            && self.send_pdu(&pdu).await.is_err()
        {
            return;
        }
        if is_closing {
            self.connection.end_sending().await;
        }
        self.connection.await_close().await;
        if !is_closing {
            self.connection.end_sending().await;
        }
    }

    async fn send_pdu(&mut self, pdu: &Pdu) -> Result<(), How> {
        let mut bytes = Vec::new();
        pdu::write(pdu, &mut bytes).map_err(Violation::Pdu)?;
        self.connection.send(&bytes).await
    }

    fn unexpected(&self, kind: u8) -> How {
        Violation::UnexpectedPdu { kind, state: self.machine.state() }.into()
    }
}

pub(super) fn comment(status: Status, comment: &'static str) -> Outcome {
    Outcome { status, comment: Some(comment.into()) }
}

pub(crate) fn kind_of(pdu: &Pdu) -> u8 {
    match pdu {
        Pdu::AssociateRq(_) => kind::ASSOCIATE_RQ,
        Pdu::AssociateAc(_) => kind::ASSOCIATE_AC,
        Pdu::AssociateRj(_) => kind::ASSOCIATE_RJ,
        Pdu::Data(_) => kind::DATA_TF,
        Pdu::ReleaseRq => kind::RELEASE_RQ,
        Pdu::ReleaseRp => kind::RELEASE_RP,
        Pdu::Abort(_) => kind::ABORT,
    }
}
