import { createHash } from 'node:crypto'
import { ownMember } from '../../util/json.js'

export interface Weather {
  city: string
  conditions: (typeof CONDITIONS)[number]
  temperatureC: number
  humidityPercent: number
  windKmh: number
}

export const CONDITIONS = ['sunny', 'cloudy', 'light rain', 'showers', 'fog', 'snow'] as const

/** Mean temperatures, so that the made-up weather of well-known places is plausible. */
const MEAN_C: Readonly<Record<string, number>> = {
  Berlin: 10,
  Lisbon: 18,
  London: 12,
  'New York': 13,
  Reykjavík: 5,
  Singapore: 28,
  Sydney: 19,
  'Tel Aviv': 21,
  Tokyo: 16,
}

/** The places that completion offers. */
export const CITIES: readonly string[] = Object.keys(MEAN_C)

/** Makes up the weather of a city: always the same for the same name, whatever its case. */
export function weatherIn(city: string): Weather {
  const wanted = city.trim()
  const known = CITIES.find((name) => fold(name) === fold(wanted))
  const dice = createHash('sha256').update(fold(wanted)).digest()
  const temperatureC =
    (known === undefined ? 14 : (ownMember(MEAN_C, known) ?? 14)) + (roll(dice, 0) % 9) - 4
  const mild = CONDITIONS.filter((word) => word !== 'snow')
  const possible = temperatureC <= 3 ? CONDITIONS : mild
  return {
    city: known ?? wanted,
    conditions: possible[roll(dice, 1) % possible.length] ?? 'sunny',
    temperatureC,
    humidityPercent: 35 + (roll(dice, 2) % 60),
    windKmh: roll(dice, 3) % 45,
  }
}

/** Returns the known cities that begin with what was typed. */
export function citiesLike(typed: string): string[] {
  return CITIES.filter((name) => fold(name).startsWith(fold(typed)))
}

/** One sentence for the model to read. */
export function describeWeather({ city, conditions, ...weather }: Weather): string {
  const { temperatureC, humidityPercent, windKmh } = weather
  return `${city}: ${conditions}, ${temperatureC} °C, humidity ${humidityPercent} %, wind ${windKmh} km/h.`
}

function fold(text: string): string {
  return text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase()
}

function roll(dice: Buffer, at: number): number {
  return dice[at] ?? 0
}
