import { describe, expect, it } from 'vitest'
import {
  type BoundIdTarget,
  bindIds,
  createBoundIds,
  unbindIds,
} from '../../../../src/gateway/rewriting/bound-ids.js'
import { createSigner } from '../../../../src/gateway/rewriting/signed-ids.js'
import { parseMessageText } from '../../../../src/mcp/message.js'
import { principal } from '../support.js'

const SECRET = 'a secret, 32 characters or more, for the marks'

const alice = principal()

const bob = principal({ subject: 'bob' })

const shared: BoundIdTarget = { name: 'docs', prefix: 'docs', credential: {} }

const own: BoundIdTarget = { name: 'mail', prefix: 'mail', credential: { perCaller: true } }

const boundIdsOf = (targets: BoundIdTarget[], secrets = [SECRET]) =>
  createBoundIds({ targets, signer: createSigner(secrets), signsForAll: secrets.length > 0 })

describe('a task of a target that cannot tell callers apart', () => {
  const boundIds = boundIdsOf([shared])
  const id = boundIds.exposeTask(shared, '7', alice)

  it('is the task of the caller who got it, on every replica', () => {
    expect(id).toMatch(/^k\.[\w-]+\.[\w-]{16}$/)
    for (const replica of [boundIds, boundIdsOf([shared, own])]) {
      expect(replica.routeTask(id, alice)).toEqual({ target: shared, own: '7' })
      expect(replica.routeTask(id, bob)).toBeUndefined()
      expect(replica.routeTask(id, principal({ tenant: 'T2' }))).toBeUndefined()
      for (const guess of ['7', 'docs.7']) {
        expect(replica.routeTask(guess, alice)).toBeUndefined()
      }
    }
  })

  it('is no state, nor a task of another target', () => {
    expect(boundIds.readState(shared, id, alice)).toBeUndefined()
    const other = { ...shared, name: 'other' }
    expect(boundIdsOf([other]).routeTask(id, alice)).toBeUndefined()
    const state = boundIdsOf([shared, other]).exposeState(other, 'x', alice)
    expect(boundIdsOf([shared, other]).readState(other, state, alice)).toBe('x')
    expect(boundIdsOf([shared, other]).readState(shared, state, alice)).toBeUndefined()
  })
})

describe.each([
  ['a target that knows its callers', own, alice, [SECRET]],
  ['a proxy without sign-in', shared, undefined, [SECRET]],
])('what %s hands out', (_what, target, caller, secrets) => {
  it('stays as it is, and among several targets a task is led to its own', () => {
    const single = boundIdsOf([target], secrets)
    expect(single.exposeTask(target, '7.1', caller)).toBe('7.1')
    expect(single.routeTask('7.1', caller)).toEqual({ target, own: '7.1' })
    const several = boundIdsOf([target, { ...target, name: 'z' }], secrets)
    expect(several.exposeTask(target, '7.1', caller)).toBe(`${target.name}.7.1`)
    expect(several.routeTask(`${target.name}.7.1`, caller)).toEqual({ target, own: '7.1' })
    expect(several.routeTask('7.1', caller)).toBeUndefined()
    for (const boundIds of [single, several]) {
      expect(boundIds.exposeState(target, 's', caller)).toBe('s')
      expect(boundIds.readState(target, 's', caller)).toBe('s')
    }
  })
})

describe('what processes that share no secret would hand out', () => {
  it('is not handed out to anybody', () => {
    for (const others of [[], [{ ...shared, name: 'z' }]]) {
      const boundIds = boundIdsOf([shared, ...others], [])
      expect(boundIds.withholds(shared, alice)).toBe(true)
      expect(boundIds.keepsAll(alice)).toBe(false)
      for (const id of ['7.1', `${shared.name}.7.1`]) {
        expect(boundIds.routeTask(id, alice)).toBeUndefined()
      }
      expect(boundIds.readState(shared, 's', alice)).toBeUndefined()
    }
  })

  it('is left to a target that knows its callers, and to a proxy without sign-in', () => {
    expect(boundIdsOf([own], []).withholds(own, alice)).toBe(false)
    expect(boundIdsOf([shared], []).withholds(shared, undefined)).toBe(false)
  })
})

describe('a message with bound ids', () => {
  const parties = {
    boundIds: boundIdsOf([own, { ...own, name: 'z' }]),
    target: own,
    principal: alice,
  }
  const related = (id: string) =>
    `"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"${id}"}}`

  it.each([
    ['a task', '{"result": {"ttl":12345678901234567890, "taskId":"7"},"id":1}'],
    ['a task of before', '{"id":1,"result":{"task":{"taskId":"7","n":1.0}}}'],
    ['its status', '{"method":"notifications/tasks","params":{"n":1.0,"taskId":"7"}}'],
    ['its status of before', '{"method":"notifications/tasks/status","params":{"taskId":"7"}}'],
    ['the task it belongs to', `{"id":1,"method":"elicitation/create","params":{${related('7')}}}`],
    ['the task of a result', `{"id":1,"result":{"content":[],"n":1.0,${related('7')}}}`],
    ['a subscription', '{"method":"x","params":{"notifications":{"taskIds":["7"],"n":1.0}}}'],
  ])('keeps every other byte: %s', (_what, text) => {
    expect(bindIds(parties, text)).toBe(text.replace('"7"', '"mail.7"'))
  })

  it('exposes the URIs in the result of a task of several targets', () => {
    const text =
      '{"id":1,"result":{"result":{"content":[{"type":"resource_link","uri":"a://b"}]},"taskId":"7"}}'
    const exposed = text.replace('"7"', '"mail.7"')
    expect(bindIds(parties, text)).toBe(exposed.replace('a://b', 'a://mail/b'))
    const single = { ...parties, target: shared, boundIds: boundIdsOf([shared]) }
    expect(bindIds(single, text)).toContain('"a://b"')
  })

  it.each([
    '{"id":1,"result":{"content":[],"x":{"taskId":"7"}}}',
    '{"id":1,"result":{"taskId":7}}',
    '{"id":1,"result":["taskId"]}',
    '{"id":1,"error":{"data":{"taskId":"7"}}}',
    '{"method":"notifications/other","params":{"taskId":"7"}}',
    '{"taskId":',
  ])('is left alone where it has none: %s', (text) => {
    expect(bindIds(parties, text)).toBe(text)
  })

  it('tells a target its own ids again', () => {
    const { boundIds } = parties
    const answer = (id: string) => `{"jsonrpc":"2.0","id":1, "result":{"n":1.0,${related(id)}}}`
    const message = parseMessageText(answer('mail.7'))
    expect(unbindIds(boundIds, message, alice).text).toBe(answer('7'))
    const unknown = parseMessageText(answer('nobody.7'))
    expect(unbindIds(boundIds, unknown, alice)).toBe(unknown)
  })

  it('subscribes a caller to tasks of that caller only', () => {
    const boundIds = boundIdsOf([shared])
    const [mine, hers] = [bob, alice].map((caller) => boundIds.exposeTask(shared, '7', caller))
    const listen = (ids: unknown[]) => {
      const params = { notifications: { toolsListChanged: true, taskIds: ids } }
      return parseMessageText(
        JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'subscriptions/listen', params }),
      )
    }
    const { params } = unbindIds(boundIds, listen([mine, hers, '7', 7]), bob)
    expect(params).toEqual({ notifications: { toolsListChanged: true, taskIds: ['7'] } })
  })
})
