import { serveCommands } from '../rpc.js'
import { runCalls } from './calls.js'
import { openSessions } from './sessions.js'
import { awaitEvents, closeStreams, expectEvents, openStreams } from './streams.js'

/** The load generator's process. One lives through the whole run, so it is warm for everyone. */
serveCommands('ready', {
  openSessions,
  runCalls,
  openStreams,
  expectEvents,
  awaitEvents,
  closeStreams,
})
