//! C-FIND (PS3.7 9.1.2): matches come one by one, and may be cancelled between any two.

use kluis_dicom::Phi;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Answer, Association, Failure};
use crate::command::{CommandField, Status, cancel_command, request_command};

/// What comes next of a C-FIND.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A match: FF00H or FF01H, and its identifier in the transfer syntax of the context.
    Match(Status, Phi<Vec<u8>>),
    /// That was all.
    End(Answer),
}

/// A C-FIND that is answered. Nothing else can be asked of the association until [`Found::End`].
#[derive(Debug)]
pub struct Finding<'a, S> {
    association: &'a mut Association<S>,
    context_id: u8,
    message_id: u16,
}

impl<S> Association<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    /// Asks for what matches an identifier, which is in the transfer syntax of the context.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn find(&mut self, context_id: u8, identifier: &[u8]) -> Result<Finding<'_, S>, Failure> {
        let sop_class = self.sop_class_of(context_id)?;
        let message_id = self.next_message_id();
        let command = request_command(CommandField::C_FIND_RQ, message_id, &sop_class, true);
        match self.send(context_id, &command, Some(identifier)).await {
            Ok(()) => Ok(Finding { association: self, context_id, message_id }),
            Err(how) => Err(self.given_up(how).await),
        }
    }
}

impl<S> Finding<'_, S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    /// The next match, or the end.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn next(&mut self) -> Result<Found, Failure> {
        match self.association.response(CommandField::C_FIND_RQ, self.message_id).await {
            Ok((_, answer, Some(identifier))) if answer.status.is_pending() => {
                Ok(Found::Match(answer.status, identifier))
            }
            Ok((_, answer, _)) if answer.status.is_pending() => Ok(Found::Match(answer.status, Phi(Vec::new()))),
            Ok((_, answer, _)) => Ok(Found::End(answer)),
            Err(how) => Err(self.association.given_up(how).await),
        }
    }

    /// Asks the peer to stop (C-CANCEL). Matches may still come before the end.
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
