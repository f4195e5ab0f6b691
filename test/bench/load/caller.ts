import { performance } from 'node:perf_hooks'
import { checkAnswer } from './check.js'
import type { Connection } from './connect.js'
import { Comparison, Expectation } from './expectation.js'
import { type Endpoint, prepareRequest, type Work } from './request.js'
import { ResponseReader } from './response-reader.js'

/** What the callers of one run share. */
export interface Run {
  endpoint: Endpoint
  work: Work
  expectation: Expectation
  nextId(): number
  /** Says whether the caller shall send another request. */
  done(latencyMs: number): boolean
  finished(): void
  failed(error: Error): void
}

/** Sends requests over one connection, one at a time, and checks every answer. */
export function startCaller(connection: Connection, session: string | undefined, run: Run): void {
  const { bytes, idAt } = prepareRequest(run.endpoint, run.work, session)
  const expectation = new Expectation()
  let own = expectation
  let comparison = new Comparison(undefined)
  let id = 0
  let sentAt = 0
  let status = 0
  let contentType = ''

  const send = () => {
    if (own.bytes === undefined && run.expectation.bytes !== undefined) own = run.expectation.copy()
    id = run.nextId()
    const digits = String(id)
    for (const at of idAt) bytes.write(digits, at, 'latin1')
    own.setId(digits)
    comparison = new Comparison(own.bytes)
    sentAt = performance.now()
    connection.socket.write(bytes)
  }

  const reader = new ResponseReader({
    head: (answered, head) => {
      status = answered
      contentType = /\r\ncontent-type: *([^\r]+)/i.exec(head)?.[1] ?? ''
    },
    body: (part, start, end) => comparison.add(part, start, end),
    end: () => {
      const latency = performance.now() - sentAt
      const body = comparison.finish()
      if (status !== 200) throw new Error(`status ${status}: ${body?.toString().slice(0, 200)}`)
      if (body !== undefined) {
        checkAnswer(contentType, body.toString(), id, run.work, run.endpoint)
        if (run.expectation.bytes === undefined) run.expectation.learn(body, id)
      }
      if (run.done(latency)) send()
      else run.finished()
    },
  })
  connection.onBytes = (part) => reader.feed(part)
  connection.onError = (error) => run.failed(error)
  send()
}
