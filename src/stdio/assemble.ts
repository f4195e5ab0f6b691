import { randomBytes } from 'node:crypto'
import type { Caller } from '../auth/credential.js'
import type { SignInNeed, SignInPort } from '../auth/sign-in-port.js'
import { createGateway, type Gateway } from '../gateway/gateway.js'
import { createSessions } from '../gateway/sessions.js'
import type { Target } from '../gateway/target.js'
import type { Logger } from '../util/logger.js'
import type { Runtime } from '../util/runtime.js'
import { Backlog } from './backlog.js'
import { Bridge } from './bridge.js'
import { createHost, type Host } from './host.js'
import { Link } from './link.js'
import { StreamListener } from './listener.js'
import type { Memory } from './memory.js'
import { resumeAnswer } from './resume.js'
import { createSession } from './session.js'
import { SignInDesk } from './sign-in.js'

/** By the names of targets; `undefined` where nobody is signed in. */
export type Identities = ReadonlyMap<string, string | undefined>

export interface StdioOptions {
  /** Names what is behind the bridge, for people. */
  name: string
  targets: readonly Target[]
  /** Who is signed in. Rejects with `SIGN_IN_REQUIRED` when nobody is and somebody has to be. */
  caller: () => Caller | Promise<Caller>
  /** Loads the sign-in; `undefined` where none is possible. */
  openSignIn: (() => Promise<SignInPort>) | undefined
  /** Tells whether there is another token by now, whoever signed in. */
  hasToken: (refused: string | undefined) => Promise<boolean>
  /** Names who is signed in, by what is kept, to each target that has a sign-in of its own. */
  identities?: () => Promise<Identities>
  /** Guesses which MCP endpoint of a target was meant. */
  guess?: ((target: string) => string | undefined) | undefined
  /** Why somebody had to sign in last. */
  need: () => SignInNeed
  /** Of several targets, which are signed in to one by one: some wait for that, the others go on. */
  isNeeded?: () => boolean
  /** Learns the name of the program that we serve, for the page that the browser shows. */
  onHostName?(name: string | undefined): void
  memory: Memory
  logger: Logger
  loginWaitMs: number
  waitForLogin: boolean
  /** Milliseconds. */
  timeouts: { list: number; answer: number }
  maxNameLength: number
  /** As `Math.random`. */
  random: () => number
}

/** Everything of a bridge, joined and not started. */
export interface Parts {
  readonly host: Host
  readonly backlog: Backlog
  readonly link: Link
  readonly gateway: Gateway
  readonly listener: StreamListener
  readonly bridge: Bridge
  readonly desk: SignInDesk
}

/**
 * Joins the parts of a bridge. Nothing is sent before the host says something.
 *
 * @param signal Ends whatever waits for somebody to sign in.
 */
export function assemble(
  { clock, io }: Pick<Runtime, 'clock' | 'io'>,
  options: StdioOptions,
  signal: AbortSignal,
): Parts {
  const { logger } = options
  const target = options.name
  const host = createHost(io)
  const backlog = new Backlog()
  const session = createSession()
  const gateway = openGateway(clock, options)
  const link = new Link({
    ...{ gateway, session, host, backlog, target, caller: options.caller },
    guess: options.guess,
    onOwed: (message) => bridge.owe(message),
  })
  const listener = new StreamListener({
    ...{ clock, link, host, logger, random: options.random },
    // a ping is safe to repeat, so that the gateway opens the session again for it
    onSessionLost: () => void link.ask('ping', {}),
  })
  const desk = new SignInDesk({
    ...{ clock, logger, target, signal },
    open: options.openSignIn,
    hasToken: options.hasToken,
    onDone: (isOtherClient) => bridge.signedIn(isOtherClient),
    onFailed: () => bridge.signInFailed(),
  })
  const bridge: Bridge = new Bridge({
    ...options,
    ...{ target, clock, host, backlog, link, session, desk },
    onReady: () => listener.start(),
    resume: (request, lastEventId, retryMs) => {
      const { requests } = bridge
      resumeAnswer({ clock, link, host, requests }, request, lastEventId, retryMs)
    },
  })
  return { host, backlog, link, gateway, listener, bridge, desk }
}

function openGateway(clock: Runtime['clock'], options: StdioOptions): Gateway {
  const { name, targets, logger, timeouts, maxNameLength } = options
  const secret = randomBytes(32).toString('hex')
  return createGateway({
    targets,
    // only this process ever sees them
    sessions: createSessions({ secrets: [secret], clock, resource: () => name }),
    secrets: [secret],
    clock,
    logger: quiet(logger),
    timeouts,
    maxNameLength,
    reopenSessions: true,
    // there is one caller
    bindsAlone: false,
    offersStreams: true,
  })
}

/** What the gateway says of a target is said again, better, by what it makes us do. */
function quiet(logger: Logger): Logger {
  return { ...logger, info: logger.debug, warn: logger.debug }
}
