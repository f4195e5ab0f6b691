import type { AuthorizationServer } from '../auth/oauth/server-metadata.js'
import { whoSignedIn } from '../auth/oauth/user-info.js'
import type { TokenRecord } from '../auth/tokens/token-store.js'
import { accountOf } from '../auth/verify/unverified-claims.js'
import { type CallbackPage, failurePage, successPage } from './callback-page.js'
import type { Flow } from './flow.js'
import type { ProxyError } from '../util/errors.js'

/**
 * Makes the page that tells how a sign-in ended. The tokens are kept by then: what the page still
 * asks for keeps nobody from using them.
 */
export async function resultPage(
  { options, target, runtime }: Pick<Flow, 'options' | 'target' | 'runtime'>,
  server: AuthorizationServer,
  outcome: TokenRecord | ProxyError,
): Promise<CallbackPage> {
  const returnTo = options.returnTo()
  if (!('accessToken' in outcome)) {
    return failurePage(outcome.message, outcome.hint, target.name, returnTo)
  }
  const name = await whoSignedIn(runtime, server, outcome)
  return successPage(name, returnTo, target.name, accountOf(outcome.accessToken))
}
