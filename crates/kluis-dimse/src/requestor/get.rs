//! C-GET (PS3.7 9.1.3): the objects come as C-STORE sub-operations on this association, of which we are provider.

use std::future::Future;

use kluis_dicom::Uid;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Answer, Association, Failure, Progress, exchange::Incoming};
use crate::{
    Outcome, StoreRequest, StoreSink,
    association::Violation,
    command::{CommandField, Counts, Message, Reply, Status, StoreCommand, cancel_command, request_command},
    driver::How,
    limits,
};

/// Takes the objects of a C-GET.
pub trait Receiver: Send {
    /// Takes one data set.
    type Sink: StoreSink;

    /// An object begins to arrive. On `Err` it is taken and thrown away before the outcome is sent.
    fn begin(&mut self, request: StoreRequest) -> impl Future<Output = Result<Self::Sink, Outcome>> + Send;
}

/// A C-GET that is performed. Nothing else can be asked of the association until [`Progress::End`].
#[derive(Debug)]
pub struct Getting<'a, S> {
    association: &'a mut Association<S>,
    context_id: u8,
    message_id: u16,
}

impl<S> Association<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    /// Asks for what an identifier names, which is in the transfer syntax of the context.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn get(&mut self, context_id: u8, identifier: &[u8]) -> Result<Getting<'_, S>, Failure> {
        let sop_class = self.sop_class_of(context_id)?;
        let message_id = self.next_message_id();
        let command = request_command(CommandField::C_GET_RQ, message_id, &sop_class, true);
        match self.send(context_id, &command, Some(identifier)).await {
            Ok(()) => Ok(Getting { association: self, context_id, message_id }),
            Err(how) => Err(self.given_up(how).await),
        }
    }
}

impl<S> Getting<'_, S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    /// How far it is, or the end; objects that come before that go to the receiver.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn next<R: Receiver>(&mut self, receiver: &mut R) -> Result<Progress, Failure> {
        match self.go_on(receiver).await {
            Ok(progress) => Ok(progress),
            Err(how) => Err(self.association.given_up(how).await),
        }
    }

    async fn go_on<R: Receiver>(&mut self, receiver: &mut R) -> Result<Progress, How> {
        loop {
            let incoming = self.association.incoming().await?;
            let Incoming { context_id, set, message } = incoming;
            match message {
                Message::Store(command) => self.association.received(context_id, command, receiver).await?,
                Message::Response(response) => {
                    let is_ours = response.field == CommandField::C_GET_RQ.response()
                        && response.message_id == Some(self.message_id);
                    let Some(status) = response.status.filter(|_| is_ours) else {
                        return Err(Violation::UnexpectedResponse(response.field.0).into());
                    };
                    let failed = match response.has_data_set {
                        true => Some(self.association.data_set(context_id).await?),
                        false => None,
                    };
                    let counts = Counts::of(&set);
                    return Ok(match status.is_pending() {
                        true => Progress::Pending(counts),
                        false => Progress::End { answer: Answer::of(&set, status), counts, failed },
                    });
                }
                message => self.association.notified(Incoming { context_id, set, message }).await?,
            }
        }
    }

    /// Asks the peer to stop (C-CANCEL). Objects may still come before the end.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn cancel(&mut self) -> Result<(), Failure> {
        let sent = self.association.send(self.context_id, &cancel_command(self.message_id), None).await;
        match sent {
            Ok(()) => Ok(()),
            Err(how) => Err(self.association.given_up(how).await),
        }
    }
}

impl<S> Association<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    async fn received<R: Receiver>(
        &mut self,
        context_id: u8,
        command: StoreCommand,
        receiver: &mut R,
    ) -> Result<(), How> {
        let outcome = match self.store_request(context_id, &command) {
            Ok(request) => match receiver.begin(request).await {
                Ok(sink) => self.pour(context_id, sink).await?,
                Err(outcome) => self.passed_over(context_id, outcome).await?,
            },
            Err(outcome) if command.request.has_data_set => self.passed_over(context_id, outcome).await?,
            Err(outcome) => outcome,
        };
        let Outcome { status, comment } = outcome;
        let reply = Reply { request: command.request, status, comment, has_data_set: false, counts: None };
        self.send(context_id, &reply.command_set(), None).await
    }

    fn store_request(&self, context_id: u8, command: &StoreCommand) -> Result<StoreRequest, Outcome> {
        let request = &command.request;
        let agreed = self.contexts.get(&context_id).filter(|agreed| agreed.we_provide);
        let agreed = agreed.ok_or(Status::SOP_CLASS_NOT_SUPPORTED)?;
        let is_of_context = |class: &Uid| *class == agreed.abstract_syntax;
        let sop_class = request.sop_class.clone().filter(is_of_context).ok_or(Status::SOP_CLASS_NOT_SUPPORTED)?;
        let sop_instance = request.sop_instance.clone().ok_or(Status::INVALID_SOP_INSTANCE)?;
        if !request.has_data_set {
            return Err(Status::CANNOT_UNDERSTAND.into());
        }
        Ok(StoreRequest {
            message_id: request.message_id,
            sop_class,
            sop_instance,
            transfer_syntax: agreed.transfer_syntax.clone(),
            move_originator: command.move_originator.clone(),
            move_originator_message_id: command.move_originator_message_id,
        })
    }

    /// The rest of the data set goes to the sink; behind a refusal of it, nowhere.
    async fn pour<K: StoreSink>(&mut self, context_id: u8, mut sink: K) -> Result<Outcome, How> {
        loop {
            let (fragment, is_end) = self.fragment(context_id).await?;
            match sink.write(fragment).await {
                Ok(()) if is_end => return Ok(sink.finish().await),
                Ok(()) => {}
                Err(outcome) if is_end => return Ok(outcome),
                Err(outcome) => {
                    drop(sink);
                    return self.passed_over(context_id, outcome).await;
                }
            }
        }
    }

    async fn passed_over(&mut self, context_id: u8, outcome: Outcome) -> Result<Outcome, How> {
        let mut left = limits::DRAINED_DATA_SET;
        loop {
            let (fragment, is_end) = self.fragment(context_id).await?;
            let length = u64::try_from(fragment.len()).unwrap_or(u64::MAX);
            left = left.checked_sub(length).ok_or(Violation::RefusedDataSetTooLong)?;
            if is_end {
                return Ok(outcome);
            }
        }
    }
}
