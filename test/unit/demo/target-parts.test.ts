import type { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { createTargetSessions } from '../../../src/demo/target/sessions.js'
import { headerNames, seenCredentials } from '../../../src/demo/target/tools.js'
import { citiesLike, describeWeather, weatherIn } from '../../../src/demo/target/weather.js'
import { createManualClock } from '../../helpers/runtime.js'

describe('weatherIn', () => {
  it('is plausible and always the same for any name', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (city) => {
        const weather = weatherIn(city)
        expect(weatherIn(city)).toEqual(weather)
        expect(weather.temperatureC).toBeGreaterThanOrEqual(-5)
        expect(weather.temperatureC).toBeLessThanOrEqual(35)
        expect(weather.humidityPercent).toBeLessThanOrEqual(100)
        if (weather.conditions === 'snow') expect(weather.temperatureC).toBeLessThanOrEqual(3)
      }),
    )
  })

  it('knows places in any spelling and says them as they are written', () => {
    expect(weatherIn('reykjavik').city).toBe('Reykjavík')
    expect(citiesLike('')).toContain('Berlin')
    expect(describeWeather(weatherIn('berlin'))).toMatch(/^Berlin: .+ °C/)
  })
})

describe('seenCredentials', () => {
  it('tells a JWT from an opaque token and keeps the values out', () => {
    const headers = {
      authorization: 'Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln',
      'x-api-key': 'k-123456',
      accept: 'application/json',
      'mcp-session-id': 'abc',
    }
    expect(seenCredentials(headers)).toEqual([
      { header: 'authorization', scheme: 'bearer', format: 'jwt' },
      { header: 'x-api-key', format: 'opaque' },
    ])
    expect(headerNames(headers)).toEqual(['accept', 'authorization', 'mcp-session-id', 'x-api-key'])
  })

  it('shows no part of an Authorization header that has no scheme', () => {
    expect(JSON.stringify(seenCredentials({ authorization: 'naked-secret' }))).not.toContain(
      'naked',
    )
  })
})

describe('createSessions', () => {
  const fake = () => ({ close: vi.fn(async () => {}) }) as unknown as StreamableHTTPServerTransport

  it('closes what was not used for the whole time, and nothing else', async () => {
    const clock = createManualClock()
    const sessions = createTargetSessions({ clock, max: 10, idleMs: 1_000 })
    const [old, used, busy] = [fake(), fake(), fake()]
    sessions.add('old', old)
    sessions.add('used', used)
    sessions.add('busy', busy)
    const release = sessions.hold('busy')
    await clock.advance(600)
    expect(sessions.use('used')).toBe(used)
    await clock.advance(500)
    expect(old.close).toHaveBeenCalled()
    expect(sessions.use('old')).toBeUndefined()
    expect(sessions.size).toBe(2)
    release()
    await clock.advance(3_000)
    expect(sessions.size).toBe(0)
    expect(clock.pending).toBe(0)
  })

  it('makes room by closing the idle session that was unused longest', async () => {
    const clock = createManualClock()
    const sessions = createTargetSessions({ clock, max: 2, idleMs: 1_000 })
    const [first, second, third] = [fake(), fake(), fake()]
    sessions.add('first', first)
    sessions.hold('first')
    await clock.advance(1)
    sessions.add('second', second)
    await clock.advance(1)
    sessions.add('third', third)
    expect(second.close).toHaveBeenCalled()
    expect(first.close).not.toHaveBeenCalled()
  })

  it('closes all of them at the end and leaves no timer', async () => {
    const clock = createManualClock()
    const sessions = createTargetSessions({ clock, max: 2, idleMs: 1_000 })
    const only = fake()
    sessions.add('only', only)
    await sessions.close()
    expect(only.close).toHaveBeenCalled()
    expect(clock.pending).toBe(0)
  })
})
