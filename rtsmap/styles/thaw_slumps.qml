<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.22.0" styleCategories="Symbology|Fields|MapTips">
  <renderer-v2 type="graduatedSymbol" attr="score" graduatedMethod="GraduatedColor" symbollevels="0" enableorderby="0" forceraster="0">
    <ranges>
      <range symbol="0" lower="0" upper="0.5" label="score below 0.5" render="true"/>
      <range symbol="1" lower="0.5" upper="0.7" label="score 0.5 - 0.7" render="true"/>
      <range symbol="2" lower="0.7" upper="0.9" label="score 0.7 - 0.9" render="true"/>
      <range symbol="3" lower="0.9" upper="1" label="score 0.9 - 1" render="true"/>
    </ranges>
    <symbols>
      <symbol type="fill" name="0" alpha="1" clip_to_extent="1" force_rhr="0">
        <layer class="SimpleFill" enabled="1" locked="0" pass="0">
          <Option type="Map">
            <Option type="QString" name="color" value="255,255,178,40"/>
            <Option type="QString" name="style" value="solid"/>
            <Option type="QString" name="outline_style" value="no"/>
            <Option type="QString" name="outline_width_unit" value="MM"/>
          </Option>
        </layer>
        <layer class="SimpleLine" enabled="1" locked="0" pass="0">
          <Option type="Map">
            <Option type="QString" name="capstyle" value="round"/>
            <Option type="QString" name="customdash" value="5;2"/>
            <Option type="QString" name="customdash_unit" value="MM"/>
            <Option type="QString" name="joinstyle" value="round"/>
            <Option type="QString" name="line_color" value="20,20,20,190"/>
            <Option type="QString" name="line_style" value="solid"/>
            <Option type="QString" name="line_width" value="1"/>
            <Option type="QString" name="line_width_unit" value="MM"/>
            <Option type="QString" name="use_custom_dash" value="0"/>
          </Option>
        </layer>
        <layer class="SimpleLine" enabled="1" locked="0" pass="0">
          <Option type="Map">
            <Option type="QString" name="capstyle" value="round"/>
            <Option type="QString" name="customdash" value="5;2"/>
            <Option type="QString" name="customdash_unit" value="MM"/>
            <Option type="QString" name="joinstyle" value="round"/>
            <Option type="QString" name="line_color" value="255,255,178,255"/>
            <Option type="QString" name="line_style" value="solid"/>
            <Option type="QString" name="line_width" value="0.5"/>
            <Option type="QString" name="line_width_unit" value="MM"/>
            <Option type="QString" name="use_custom_dash" value="0"/>
          </Option>
        </layer>
      </symbol>
      <symbol type="fill" name="1" alpha="1" clip_to_extent="1" force_rhr="0">
        <layer class="SimpleFill" enabled="1" locked="0" pass="0">
          <Option type="Map">
            <Option type="QString" name="color" value="254,204,60,40"/>
            <Option type="QString" name="style" value="solid"/>
            <Option type="QString" name="outline_style" value="no"/>
            <Option type="QString" name="outline_width_unit" value="MM"/>
          </Option>
        </layer>
        <layer class="SimpleLine" enabled="1" locked="0" pass="0">
          <Option type="Map">
            <Option type="QString" name="capstyle" value="round"/>
            <Option type="QString" name="customdash" value="5;2"/>
            <Option type="QString" name="customdash_unit" value="MM"/>
            <Option type="QString" name="joinstyle" value="round"/>
            <Option type="QString" name="line_color" value="20,20,20,190"/>
            <Option type="QString" name="line_style" value="solid"/>
            <Option type="QString" name="line_width" value="1"/>
            <Option type="QString" name="line_width_unit" value="MM"/>
            <Option type="QString" name="use_custom_dash" value="0"/>
          </Option>
        </layer>
        <layer class="SimpleLine" enabled="1" locked="0" pass="0">
          <Option type="Map">
            <Option type="QString" name="capstyle" value="round"/>
            <Option type="QString" name="customdash" value="5;2"/>
            <Option type="QString" name="customdash_unit" value="MM"/>
            <Option type="QString" name="joinstyle" value="round"/>
            <Option type="QString" name="line_color" value="254,204,60,255"/>
            <Option type="QString" name="line_style" value="solid"/>
            <Option type="QString" name="line_width" value="0.5"/>
            <Option type="QString" name="line_width_unit" value="MM"/>
            <Option type="QString" name="use_custom_dash" value="0"/>
          </Option>
        </layer>
      </symbol>
      <symbol type="fill" name="2" alpha="1" clip_to_extent="1" force_rhr="0">
        <layer class="SimpleFill" enabled="1" locked="0" pass="0">
          <Option type="Map">
            <Option type="QString" name="color" value="253,120,40,40"/>
            <Option type="QString" name="style" value="solid"/>
            <Option type="QString" name="outline_style" value="no"/>
            <Option type="QString" name="outline_width_unit" value="MM"/>
          </Option>
        </layer>
        <layer class="SimpleLine" enabled="1" locked="0" pass="0">
          <Option type="Map">
            <Option type="QString" name="capstyle" value="round"/>
            <Option type="QString" name="customdash" value="5;2"/>
            <Option type="QString" name="customdash_unit" value="MM"/>
            <Option type="QString" name="joinstyle" value="round"/>
            <Option type="QString" name="line_color" value="20,20,20,190"/>
            <Option type="QString" name="line_style" value="solid"/>
            <Option type="QString" name="line_width" value="1"/>
            <Option type="QString" name="line_width_unit" value="MM"/>
            <Option type="QString" name="use_custom_dash" value="0"/>
          </Option>
        </layer>
        <layer class="SimpleLine" enabled="1" locked="0" pass="0">
          <Option type="Map">
            <Option type="QString" name="capstyle" value="round"/>
            <Option type="QString" name="customdash" value="5;2"/>
            <Option type="QString" name="customdash_unit" value="MM"/>
            <Option type="QString" name="joinstyle" value="round"/>
            <Option type="QString" name="line_color" value="253,120,40,255"/>
            <Option type="QString" name="line_style" value="solid"/>
            <Option type="QString" name="line_width" value="0.5"/>
            <Option type="QString" name="line_width_unit" value="MM"/>
            <Option type="QString" name="use_custom_dash" value="0"/>
          </Option>
        </layer>
      </symbol>
      <symbol type="fill" name="3" alpha="1" clip_to_extent="1" force_rhr="0">
        <layer class="SimpleFill" enabled="1" locked="0" pass="0">
          <Option type="Map">
            <Option type="QString" name="color" value="240,20,90,40"/>
            <Option type="QString" name="style" value="solid"/>
            <Option type="QString" name="outline_style" value="no"/>
            <Option type="QString" name="outline_width_unit" value="MM"/>
          </Option>
        </layer>
        <layer class="SimpleLine" enabled="1" locked="0" pass="0">
          <Option type="Map">
            <Option type="QString" name="capstyle" value="round"/>
            <Option type="QString" name="customdash" value="5;2"/>
            <Option type="QString" name="customdash_unit" value="MM"/>
            <Option type="QString" name="joinstyle" value="round"/>
            <Option type="QString" name="line_color" value="20,20,20,190"/>
            <Option type="QString" name="line_style" value="solid"/>
            <Option type="QString" name="line_width" value="1"/>
            <Option type="QString" name="line_width_unit" value="MM"/>
            <Option type="QString" name="use_custom_dash" value="0"/>
          </Option>
        </layer>
        <layer class="SimpleLine" enabled="1" locked="0" pass="0">
          <Option type="Map">
            <Option type="QString" name="capstyle" value="round"/>
            <Option type="QString" name="customdash" value="5;2"/>
            <Option type="QString" name="customdash_unit" value="MM"/>
            <Option type="QString" name="joinstyle" value="round"/>
            <Option type="QString" name="line_color" value="240,20,90,255"/>
            <Option type="QString" name="line_style" value="solid"/>
            <Option type="QString" name="line_width" value="0.5"/>
            <Option type="QString" name="line_width_unit" value="MM"/>
            <Option type="QString" name="use_custom_dash" value="0"/>
          </Option>
        </layer>
      </symbol>
    </symbols>
  </renderer-v2>
  <aliases>
    <alias field="fid" index="0" name=""/>
    <alias field="slump_id" index="1" name="Slump id (same scene, model and place)"/>
    <alias field="score" index="2" name="Score (0-1)"/>
    <alias field="area_m2" index="3" name="Area (geodesic, m2)"/>
    <alias field="perimeter_m" index="4" name="Perimeter (geodesic, m)"/>
    <alias field="length_m" index="5" name="Length (geodesic, m)"/>
    <alias field="width_m" index="6" name="Width (geodesic, m)"/>
    <alias field="orientation_deg" index="7" name="Orientation of the long axis (deg from true north, 0-180)"/>
    <alias field="compactness" index="8" name="Compactness (1 is a circle)"/>
    <alias field="centroid_lon" index="9" name="Centroid longitude (WGS 84, deg)"/>
    <alias field="centroid_lat" index="10" name="Centroid latitude (WGS 84, deg)"/>
    <alias field="ndvi_mean" index="11" name="NDVI, mean"/>
    <alias field="ndvi_contrast" index="12" name="NDVI, slump minus 50 m ring"/>
    <alias field="nir_mean" index="13" name="Near-infrared reflectance, mean"/>
    <alias field="clear_fraction" index="14" name="Clear part of the slump (0-1)"/>
    <alias field="touches_edge" index="15" name="Touches the edge of valid pixels"/>
    <alias field="touches_mask" index="16" name="Touches masked pixels (cloud, shadow)"/>
    <alias field="n_chips" index="17" name="Chips that saw it"/>
    <alias field="scene_id" index="18" name="Scene"/>
    <alias field="acquired" index="19" name="Acquired (UTC)"/>
    <alias field="satellite_id" index="20" name="Satellite"/>
    <alias field="instrument" index="21" name="Instrument"/>
    <alias field="gsd_m" index="22" name="Ground sampling distance (m)"/>
    <alias field="view_angle_deg" index="23" name="View angle (deg)"/>
    <alias field="sun_azimuth_deg" index="24" name="Sun azimuth (deg)"/>
    <alias field="sun_elevation_deg" index="25" name="Sun elevation (deg)"/>
    <alias field="model" index="26" name="Model"/>
    <alias field="model_sha256" index="27" name="Model checksum (SHA-256)"/>
    <alias field="rtsmap_version" index="28" name="rtsmap version"/>
  </aliases>
  <previewExpression>"slump_id"</previewExpression>
  <mapTip>&lt;b&gt;Thaw slump&lt;/b&gt;, score [% round("score", 2) %]&lt;br/&gt;
[% format_number("area_m2" / 10000, 2) %] ha, [% round("length_m") %] m x [% round("width_m") %] m&lt;br/&gt;
NDVI [% coalesce(round("ndvi_mean", 2), 'not known') %] ([% coalesce(round("ndvi_contrast", 2), 'not known') %] against its surroundings)&lt;br/&gt;
[% coalesce(format_date("acquired", 'yyyy-MM-dd'), 'date not known') %], [% "scene_id" %]</mapTip>
  <layerGeometryType>2</layerGeometryType>
</qgis>
