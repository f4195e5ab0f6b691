import type { CredentialHeaders } from '../../auth/credentials/credential.js'
import { DRAIN_MS } from '../../upstream/http/drain.js'
import type { UpstreamHandler } from '../../upstream/upstream.js'
import { ownMember } from '../../util/json.js'
import { expectationOf } from '../answer-head.js'
import type { UpstreamSend } from './upstream-send.js'

/** Whoever sends a request that needs a credential first. */
export interface CredentialUser extends UpstreamHandler {
  /** Tells whether the request is still to be sent, with this credential. */
  takes(credential: CredentialHeaders): boolean
  /** There is no credential. */
  refuse(error: unknown): void
}

/** Sends a request to a target with the credential that it gets for this caller. */
export function sendWithCredential(send: UpstreamSend, user: CredentialUser): void {
  try {
    const headers = send.target.credential.headers(send.caller)
    if (!(headers instanceof Promise)) dispatch(send, user, headers)
    else {
      headers
        .then((ready) => dispatch(send, user, ready))
        .catch((error: unknown) => user.refuse(error))
    }
  } catch (error) {
    user.refuse(error)
  }
}

function dispatch(send: UpstreamSend, user: CredentialUser, credential: CredentialHeaders): void {
  if (!user.takes(credential)) return
  const { target, method, headers, body, isStream, timeoutMs } = send
  const all = headers.slice()
  for (const name of Object.keys(credential)) all.push(name, ownMember(credential, name) as string)
  const bodyTimeout = expectationOf(send) === 'status' ? DRAIN_MS : timeoutMs
  const headersTimeout = timeoutMs
  target.upstream.send({ method, headers: all, body, isStream, headersTimeout, bodyTimeout }, user)
}
