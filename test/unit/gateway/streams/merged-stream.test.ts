import { afterEach, expect, it } from 'vitest'
import { mergeStreams } from '../../../../src/gateway/streams/merged-stream.js'
import { createTarget } from '../../../../src/gateway/target.js'
import { createManualClock } from '../../../helpers/runtime.js'
import { eventually } from '../../../helpers/targets/eventually.js'
import { type RecordingTarget, startRecordingTarget } from '../../../helpers/targets/recording.js'
import { openUpstream } from '../../../helpers/upstream.js'
import { OPEN_TOOLS } from '../support.js'

let server: RecordingTarget

afterEach(() => server.close())

it('asks no more for a stream when the failure made somebody close all of them', async () => {
  server = await startRecordingTarget({
    intercept(_request, response) {
      response.writeHead(503).end()
      return true
    },
  })
  const clock = createManualClock()
  const credential = { headers: () => ({}), refused: () => false }
  const upstream = openUpstream(new URL(server.url))
  const target = createTarget({ name: 't', prefix: '', tools: OPEN_TOOLS }, credential, upstream)
  const caller = { principal: undefined, accessToken: undefined }
  const reply: Parameters<typeof mergeStreams>[0]['reply'] = {
    watcher: undefined,
    write: () => true,
  }
  const retries: boolean[] = []
  const source = {
    target,
    request: () =>
      ({ target, caller, method: 'GET', headers: [], inSession: false, timeoutMs: 0 }) as const,
    expose: () => undefined,
    failed(_failure: unknown, again: boolean) {
      retries.push(again)
      reply.watcher?.onClose()
    },
  }
  mergeStreams({ reply, sources: [source], clock })
  await eventually(() => expect(retries).toEqual([true]))
  expect(clock.pending).toBe(0)
  await upstream.close()
})
