import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { citiesLike, describeWeather, weatherIn } from '../../../../src/demo/target/weather.js'

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
