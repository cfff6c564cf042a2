//! C-FIND: the identifier is gathered, matches go out one by one, and a C-CANCEL is heard between any two of them.

use std::pin::pin;

use kluis_dicom::Phi;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    How,
    connection::{Arrived, Patience},
    outgoing::write_pdus,
    session::{Receiver, Session, UnderWay, comment},
};
use crate::{
    FindRequest, Match, Matches, Outcome, Services,
    association::{Event, Violation},
    command::{Message, OtherRequest, Reply, Status},
};

/// What comes first, while matches are looked for.
enum First {
    Found(Result<Option<Match>, Outcome>),
    Cancelled,
}

impl<S, V> Session<'_, S, V>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    V: Services,
{
    /// The command of an operation whose data set is an identifier has come.
    pub(super) async fn identified(&mut self, context_id: u8, request: OtherRequest) -> Result<(), How> {
        let is_of_context = self
            .contexts
            .get(&context_id)
            .is_some_and(|context| request.sop_class.as_ref() == Some(&context.abstract_syntax));
        if !is_of_context {
            let outcome = comment(Status::SOP_CLASS_NOT_SUPPORTED, "SOP class is not that of the presentation context");
            return self.answer(context_id, request, outcome).await;
        }
        if !request.has_data_set {
            return self.reply(context_id, request, comment(Status::DATA_SET_DOES_NOT_MATCH, "no identifier")).await;
        }
        let receiver = Receiver::Identifier(Phi(Vec::new()));
        self.under_way = UnderWay::DataSet { context_id, request, receiver };
        Ok(())
    }

    pub(super) async fn find(
        &mut self,
        context_id: u8,
        request: OtherRequest,
        identifier: Phi<Vec<u8>>,
    ) -> Result<(), How> {
        let Some(context) = self.contexts.get(&context_id) else {
            return Err(Violation::ContextNotAccepted(context_id).into());
        };
        let wanted = FindRequest {
            message_id: request.message_id,
            sop_class: context.abstract_syntax.clone(),
            transfer_syntax: context.transfer_syntax.clone(),
            identifier,
        };
        let mut matches = match self.services.find(wanted).await {
            Ok(matches) => matches,
            Err(outcome) => return self.reply(context_id, request, outcome).await,
        };
        let outcome = loop {
            match self.first(&mut matches, request.message_id).await? {
                First::Found(Ok(Some(found))) => self.send_match(context_id, &request, found).await?,
                First::Found(Ok(None)) => break Status::SUCCESS.into(),
                First::Found(Err(outcome)) => break outcome,
                First::Cancelled => break Status::CANCEL.into(),
            }
        };
        drop(matches);
        self.reply(context_id, request, outcome).await
    }

    /// Waits for the next match, and listens to the peer meanwhile.
    async fn first(&mut self, matches: &mut V::Matches, message_id: u16) -> Result<First, How> {
        let mut next = pin!(matches.next());
        loop {
            tokio::select! {
                biased;
                arrived = self.connection.next(Patience::Operation) => {
                    if self.is_cancelled(arrived?, message_id)? {
                        return Ok(First::Cancelled);
                    }
                }
                found = &mut next => return Ok(First::Found(found)),
            }
        }
    }

    /// What a peer may send while it is answered: a C-CANCEL, in whatever fragments, or the end.
    pub(super) fn is_cancelled(&mut self, arrived: Arrived, message_id: u16) -> Result<bool, How> {
        match arrived {
            Arrived::Data => {
                self.machine.on(Event::Data);
                Ok(false)
            }
            Arrived::Fragment { context_id, is_command: true, is_end, range } => {
                let Some(set) = self.command_set(context_id, is_end, range)? else { return Ok(false) };
                match Message::read(&set).map_err(Violation::Command)? {
                    Message::Cancel(named) => Ok(named == Some(message_id)),
                    // to a notification that crossed the request
                    Message::Response(response) => self.event_answered(response).map(|()| false),
                    _ => Err(Violation::RequestWithinOperation.into()),
                }
            }
            Arrived::Fragment { .. } => Err(Violation::DataSetWithoutCommand.into()),
            Arrived::Pdu(pdu) => Err(self.ended_by(pdu)),
        }
    }

    async fn send_match(&mut self, context_id: u8, request: &OtherRequest, found: Match) -> Result<(), How> {
        let (request, status) = (request.clone(), found.status);
        let reply = Reply { request, status, comment: None, has_data_set: true, counts: None };
        let (mut command, mut message) = (Vec::new(), Vec::new());
        reply.command_set().write(&mut command);
        write_pdus(context_id, true, &command, self.send_maximum, &mut message);
        write_pdus(context_id, false, &found.identifier, self.send_maximum, &mut message);
        self.connection.send(&message).await?;
        if self.connection.is_shutting_down() { Err(How::ShutDown) } else { Ok(()) }
    }
}
